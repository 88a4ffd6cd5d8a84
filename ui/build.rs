//! Says whether there is a built app to embed. Nothing is created: without one the binary explains how to build it.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(web_app)");
    // A folder that does not exist yet counts as changed when it appears.
    println!("cargo::rerun-if-changed=web/dist");
    let built = std::path::Path::new("web/dist/index.html").is_file();
    if built && std::env::var_os("CARGO_FEATURE_WEB").is_some() {
        println!("cargo::rustc-cfg=web_app");
    }
}
