use linnet_fleet::package::{FileMode, ManifestHead, PackagePath, Packer};
use serde_json::json;

use super::*;

struct Package {
    file: File,
    bytes: u64,
    plugin: Plugin,
    build: Build,
}

/// A package whose own manifest says this of itself, as the channel says it in `custom`.
fn package(room: &Path, name: &str, version: &str, own: &[(&str, &str)]) -> Package {
    let program = room.join("program");
    fs::write(&program, format!("#!/bin/sh\necho {version}\n")).unwrap();
    let mut manifest = json!({"schema_version": 1, "kind": "plugin", "name": name, "version": version, "protocol": 1,
        "arch": std::env::consts::ARCH, "executable": "run", "events": [2004]});
    for (key, value) in own {
        manifest[key] = (*value).into();
    }
    let path = room.join("plugin.json");
    fs::write(&path, manifest.to_string()).unwrap();
    let mut packer = Packer::new(ManifestHead {
        kind: "plugin".to_owned(),
        version: version.parse().unwrap(),
        arch: std::env::consts::ARCH.to_owned(),
        minimum_kernel: "5.10".parse().unwrap(),
    });
    packer.add(PackagePath::parse(b"run").unwrap(), FileMode::Executable, &program).unwrap();
    packer.add(PackagePath::parse(b"plugin.json").unwrap(), FileMode::Plain, &path).unwrap();
    let to = room.join("package.tar.gz");
    let unpacked = packer.write(File::create(&to).unwrap()).unwrap();
    let bytes = fs::read(&to).unwrap();
    let version = version.parse().unwrap();
    Package {
        file: File::open(&to).unwrap(),
        bytes: bytes.len() as u64,
        plugin: Plugin {
            name: name.to_owned(),
            version,
            arch: std::env::consts::ARCH.to_owned(),
            unpacked_bytes: unpacked.unpacked_bytes(),
            notes: String::new(),
        },
        build: Build { version, sha256: Sha256Digest::of(&bytes) },
    }
}

fn stage(trees: &Trees, package: &Package) -> Result<(), TreeError> {
    trees.stage(&package.file, package.bytes, &package.plugin, package.build)
}

#[test]
fn a_package_is_unpacked_marked_found_again_and_removed() {
    let room = tempfile::tempdir().unwrap();
    let trees = Trees::new(&room.path().join("plugins"));
    let one = package(room.path(), "yara", "0.1.0", &[]);
    stage(&trees, &one).unwrap();
    trees.verify("yara", &one.build).unwrap();
    let two = package(room.path(), "yara", "0.2.0", &[]);
    stage(&trees, &two).unwrap();
    // Again, over what is there.
    stage(&trees, &two).unwrap();
    assert_eq!(trees.marked("yara"), BTreeSet::from([one.build, two.build]));
    assert_eq!(trees.names(), ["yara"]);
    let place = room.path().join("plugins").join(Trees::place("yara", &two.build));
    assert_eq!(fs::metadata(place.join("run")).unwrap().permissions().mode() & 0o777, 0o755);
    trees.keep_only("yara", &BTreeSet::from([two.build])).unwrap();
    assert_eq!(trees.marked("yara"), BTreeSet::from([two.build]));
    trees.verify("yara", &two.build).unwrap();
    trees.keep_only("yara", &BTreeSet::new()).unwrap();
    trees.remove_top();
    assert!(!trees.top().exists());
}

#[test]
fn what_was_cut_off_or_changed_is_not_whole() {
    let room = tempfile::tempdir().unwrap();
    let trees = Trees::new(&room.path().join("plugins"));
    let one = package(room.path(), "yara", "0.1.0", &[]);
    let place = room.path().join("plugins").join(Trees::place("yara", &one.build));
    let marker = trees.marker("yara", &one.build);
    for damage in [
        &|| fs::remove_file(&marker).unwrap(),
        &|| fs::write(&marker, "{\"schema_ver").unwrap(),
        &|| fs::write(place.join("run"), "#!/bin/sh\nevil\n").unwrap(),
        &|| fs::write(place.join("more"), "x").unwrap(),
        &|| fs::set_permissions(place.join("run"), fs::Permissions::from_mode(0o777)).unwrap(),
        &|| fs::remove_dir_all(&place).unwrap(),
        &|| fs::remove_file(place.join("manifest.json")).unwrap(),
    ] as [&dyn Fn(); 7]
    {
        stage(&trees, &one).unwrap();
        trees.verify("yara", &one.build).unwrap();
        damage();
        assert!(trees.verify("yara", &one.build).is_err());
    }
    stage(&trees, &one).unwrap();
}

#[test]
fn a_package_that_contradicts_itself_is_refused_for_good() {
    let room = tempfile::tempdir().unwrap();
    let trees = Trees::new(&room.path().join("plugins"));
    for (key, value, says) in [
        ("name", "other", "name is \"other\" in plugin.json"),
        ("version", "0.2.0", "version is \"0.2.0\" in plugin.json"),
        ("kind", "release", "plugin.json: kind"),
        ("executable", "../../run", "plugin.json: executable"),
    ] {
        let package = package(room.path(), "yara", "0.1.0", &[(key, value)]);
        let error = stage(&trees, &package).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_of_the_package());
        assert_eq!(trees.marked("yara"), BTreeSet::new());
    }
    let mut package = package(room.path(), "yara", "0.1.0", &[]);
    package.plugin.unpacked_bytes -= 1;
    assert!(stage(&trees, &package).unwrap_err().is_of_the_package());
}
