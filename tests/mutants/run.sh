#!/usr/bin/env bash
# Mutation testing: changes one operator, branch or result after the other and expects a unit test beside the code to fail.
#
#   tests/mutants/run.sh fold       the fold and the decoder: src/domain, src/envelope
#   tests/mutants/run.sh failures   the classes of failures and what follows from them: src/failure, src/worker/settle.rs
#
# What comes after that goes to cargo-mutants: `--shard 0/4`, `-f src/domain/rename.rs`, `--list`. The modules are copied into
# a crate of their own below target/mutants, because there a mutant costs seconds instead of half a minute; the results are
# in mutants.out beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."

modules="${1:?fold or failures}"
shift
crate="target/mutants/$modules"
rm -rf "$crate/src" "$crate/tests" "$crate/docs"
mkdir -p "$crate/src" "$crate/tests"
cp Cargo.lock "$crate/"
cp -r docs "$crate/"
cp -r tests/fixtures "$crate/tests/"
# The library alone: no programs, tests or examples, and no lints, which make mutants unviable.
awk '/^\[/ { keep = $0 !~ /^\[\[/ && $0 !~ /^\[lints/ } keep && !/^(default-run|readme)/' Cargo.toml > "$crate/Cargo.toml"
echo '[workspace]' >> "$crate/Cargo.toml"

case "$modules" in
    fold)
        cp -r src/domain src/envelope "$crate/src/"
        printf 'pub mod %s;\n' domain envelope > "$crate/src/lib.rs"
        files=(-f 'src/**')
        ;;
    failures)
        mkdir -p "$crate/src/store" "$crate/src/jetstream" "$crate/src/worker"
        cp -r src/failure "$crate/src/"
        cp src/store/error.rs "$crate/src/store/"
        cp src/jetstream/error.rs src/jetstream/answers.rs "$crate/src/jetstream/"
        cp src/worker/settle.rs "$crate/src/worker/"
        # Of store and jetstream only the errors; how two settings differ is not looked at here.
        cat > "$crate/src/lib.rs" << 'RUST'
#![allow(dead_code)]
pub mod failure;
pub mod store {
    mod error;
    pub use error::{Dialect, Refusal, StoreError, Trouble};
}
pub mod jetstream {
    mod answers;
    mod difference {
        #[derive(Debug)]
        pub struct Difference;
        impl std::fmt::Display for Difference {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("difference")
            }
        }
    }
    mod error;
    pub use answers::Answer;
    pub use difference::Difference;
    pub use error::BrokerError;
}
pub mod worker {
    pub mod settle;
}
RUST
        files=(-f 'src/failure/**' -f src/worker/settle.rs)
        ;;
    *)
        echo "$0: fold or failures, not $modules" >&2
        exit 2
        ;;
esac

cd "$crate"
if [[ " $* " == *" -f "* ]]; then
    files=()
fi
unset CARGO_TARGET_DIR
exec cargo mutants --in-place --timeout 60 "${files[@]}" "$@" -- --lib
