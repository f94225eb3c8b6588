//! Generates the parser from `src/parser.lalrpop` into `OUT_DIR`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    lalrpop::Configuration::new()
        .use_cargo_dir_conventions()
        .emit_rerun_directives(true)
        .emit_whitespace(false)
        .process()
        .expect("the grammar is valid");
}
