//! OTLP/HTTP: what is sent, and the answers that only this protocol has.

use serde_json::{Value, json};

use crate::{
    Stage, assert_complete, ok,
    server::{Act, Server},
};

fn sink(server: &Server) -> Value {
    json!({"url": format!("http://{}", server.address), "kind": "otlp", "batch": {"linger_ms": 200}})
}

#[test]
fn otlp_records_carry_the_events_and_are_posted_where_logs_belong() {
    let server = Server::start(|_, request| {
        assert_eq!(request.path, "/v1/logs");
        assert_eq!(request.header("content-type"), Some("application/json"));
        let resource = &request.lines[0]["resourceLogs"][0];
        assert_eq!(resource["resource"]["attributes"][3]["value"]["stringValue"], "host-1");
        let names = ["linnet.fork", "linnet.exec", "linnet.exit"];
        for record in resource["scopeLogs"][0]["logRecords"].as_array().unwrap() {
            assert!(names.contains(&record["eventName"].as_str().unwrap()));
            assert_eq!(record["timeUnixNano"], "1795306576803000000");
        }
        Act::Answer(200, "", "{}".to_owned())
    });
    let mut stage = Stage::new(&sink(&server));
    stage.append(300);
    assert_eq!(stage.drained().delivered.total(), 300);
    assert_complete(&server, 300);
}

#[test]
fn records_that_are_rejected_without_a_name_are_counted_as_lost_and_not_sent_again() {
    let server = Server::start(|_, request| {
        let records = &request.lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
        let body = json!({"partialSuccess": {"rejectedLogRecords": "7", "errorMessage": "too old"}});
        let sent = records.as_array().unwrap().len();
        if sent == 100 { Act::Answer(200, "", body.to_string()) } else { ok() }
    });
    let mut sink = sink(&server);
    sink["batch"] = json!({"linger_ms": 500, "max_events": 100});
    let mut stage = Stage::new(&sink);
    stage.append(150);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total()), (143, 0));
    assert_eq!(account.dropped["refused_unnamed"].total(), 7);
    assert_eq!(account.lost(), 7, "so it is told in the stream");
    assert_eq!(server.taken().len(), 150, "nothing was sent twice");
}

#[test]
fn records_that_are_rejected_one_and_all_are_kept() {
    let server = Server::start(|_, _| {
        let body = json!({"partialSuccess": {"rejectedLogRecords": "30", "errorMessage": "no logs here"}});
        Act::Answer(200, "", body.to_string())
    });
    let mut stage = Stage::new(&sink(&server));
    stage.append(30);
    let account = stage.drained();
    assert_eq!((account.refused.total(), account.lost()), (30, 0));
    assert!(stage.refused()[29]["why"].as_str().unwrap().contains("no logs here"));
}

#[test]
fn an_answer_that_is_not_the_protocols_holds_everything() {
    let server = Server::start(|number, _| match number {
        0 => Act::Answer(200, "", "<html>Please log in</html>".to_owned()),
        1 => Act::Answer(503, "retry-after: 1\r\n", String::new()),
        _ => Act::Answer(200, "", String::new()),
    });
    let mut stage = Stage::new(&sink(&server));
    stage.append(20);
    stage.until("it was told", |stage| stage.report().last_error.is_some_and(|why| why.contains("log in")));
    assert_eq!(stage.drained().delivered.total(), 20);
    assert_complete(&server, 20);
}
