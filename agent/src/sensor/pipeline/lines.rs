//! The lines of what is known whole, and what each counts as.

use linnet_ebpf::{Exit, KIND_EXEC, KIND_EXIT, KIND_FORK};
use linnet_ocsf::{
    class::PluginEvent,
    line::{LineError, write_line},
};
use linnet_settings::sinks::EventKind;

use super::Pipeline;
use crate::{
    event::{
        Outcome,
        exec::{Context, Frame, with_launch, with_script},
        exit::{Ended, with_fork, with_terminate},
    },
    process::Key,
    record::{self, Exec, Fork},
    sensor::{files::Slot, parked::Parked, shed::Family},
};

impl Pipeline {
    /// What an event about the sensor itself begins with. Counts as an event.
    pub fn frame(&mut self) -> Frame<'_> {
        self.sequence += 1;
        self.batch.kinds.push(EventKind::Sensor as u8);
        Frame { prelude: &self.prelude, clock: self.clock, boot: self.boot, sequence: self.sequence }
    }

    /// Takes an event of a plugin.
    pub fn plugin_event(&mut self, event: &linnet_plugin_host::PluginEvent) {
        self.sequence += 1;
        let source = &event.source;
        let line = PluginEvent {
            prelude: &self.prelude,
            time_ms: event.event.time_ms,
            sequence: self.sequence,
            class_uid: event.event.class_uid,
            activity_id: event.event.activity_id,
            severity_id: event.event.severity_id,
            plugin: &source.name,
            plugin_version: &source.version,
            fields: &event.event.fields,
        };
        // JSON that was read can be written: there are no keys but strings in it.
        if let Err(error) = write_line(&mut self.batch.lines, &line) {
            log::error!("event of plugin {}: {error}", source.name);
        }
        self.written.count(EventKind::Plugin);
        self.batch.kinds.push(EventKind::Plugin as u8);
        match self.batch.plugins.get_mut(source.name.as_str()) {
            Some(count) => *count += 1,
            None => {
                self.batch.plugins.insert(source.name.as_str().into(), 1);
            }
        }
    }

    pub(super) fn write_parked(&mut self, parked: &Parked) {
        // It was decoded before it was parked.
        let Ok(exec) = record::decode_exec(parked.record.bytes()) else { return };
        let (Slot::Settled(exe), Slot::Settled(script)) = (&parked.exe, &parked.script) else { return };
        self.write_exec(&exec, &parked.context, exe, script);
        for exit in &parked.exits {
            let known = Some((&*parked.context.image, &*parked.context.cgroup));
            self.write_exit(exit, &Ended { known, found: false });
        }
    }

    pub(super) fn write_exec(&mut self, exec: &Exec<'_>, context: &Context, exe: &Outcome, script: &Outcome) {
        let mut written = Ok(());
        let wants_script = self.events.script && exec.body.script.inode != 0;
        if self.events.exec {
            self.shed.note(exe);
            let frame = self.next_frame_number();
            let frame = Frame { prelude: &self.prelude, clock: self.clock, boot: self.boot, sequence: frame };
            let lines = &mut self.batch.lines;
            written =
                with_launch(frame, exec, context, exe, &mut self.scratch, |event| write_line(lines, event));
            self.wrote(EventKind::Exec, &written);
        }
        let script_cause = if wants_script { self.shed.leaves_out(Family::Script) } else { None };
        if let Some(cause) = script_cause
            && !self.events.exec
        {
            return self.ledger.shed(KIND_EXEC, cause);
        }
        if wants_script && script_cause.is_none() {
            self.shed.note(script);
            let frame = self.next_frame_number();
            let frame = Frame { prelude: &self.prelude, clock: self.clock, boot: self.boot, sequence: frame };
            let lines = &mut self.batch.lines;
            let script = with_script(frame, exec, context, script, &mut self.scratch, |event| {
                write_line(lines, event)
            });
            self.wrote(EventKind::Script, &script);
            written = written.and(script);
        }
        self.count(KIND_EXEC, written);
    }

    pub(super) fn write_fork(&mut self, fork: &Fork<'_>, key: Key) {
        let Some(entry) = self.table.get(key) else {
            // The table holds what was just put into it; were it not so, the equation would show it as waiting.
            return log::error!("a fork left no entry in the process table");
        };
        self.sequence += 1;
        let frame =
            Frame { prelude: &self.prelude, clock: self.clock, boot: self.boot, sequence: self.sequence };
        let lines = &mut self.batch.lines;
        let written = with_fork(frame, fork, entry, |event| write_line(lines, event));
        self.wrote(EventKind::Fork, &written);
        self.count(KIND_FORK, written);
        self.table.note_told(key);
    }

    pub(super) fn write_exit(&mut self, exit: &Exit, ended: &Ended<'_>) {
        let sequence = self.next_frame_number();
        let frame = Frame { prelude: &self.prelude, clock: self.clock, boot: self.boot, sequence };
        let lines = &mut self.batch.lines;
        let written = with_terminate(frame, exit, ended, |event| write_line(lines, event));
        self.wrote(EventKind::Exit, &written);
        self.count(KIND_EXIT, written);
    }

    fn next_frame_number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Notes the kind of a line that was written.
    fn wrote(&mut self, kind: EventKind, written: &Result<(), LineError>) {
        if written.is_ok() {
            self.written.count(kind);
            self.batch.kinds.push(kind as u8);
        }
    }

    /// Enters one record as ready. An event that can't be encoded has left no line, and its record counts as not understood.
    fn count(&mut self, kind: u16, written: Result<(), LineError>) {
        match written {
            Ok(()) => {
                if let Some(count) = self.batch.records.get_mut(usize::from(kind)) {
                    *count += 1;
                }
            }
            Err(error) => {
                log::error!("an event could not be encoded: {error}");
                self.ledger.undecodable(kind);
            }
        }
    }
}
