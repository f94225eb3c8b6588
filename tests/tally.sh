# Sourced by the test scripts: counts results and prints the summary.
#
# A result is a line `passed NAME`, `failed NAME` or `skipped NAME: REASON` on standard output, and the same line in the
# file $TALLY. What has no result of its own (a stage that built nothing, a crash) must be turned into a `failed` line by
# whoever notices: a run without failures and without a single pass is a failure too.

: "${TALLY:=$(mktemp)}"
export TALLY

result() { printf '%s %s\n' "$1" "$2" | tee -a "$TALLY"; }
passed() { result passed "$1"; }
failed() { result failed "$1"; }
skipped() { result skipped "$1: $2"; }

# tally_cargo LOG STAGE STATUS: counts the tests of a `cargo test … -- --show-output` log.
#
# A test that could not run here passes after printing `skipped: REASON`: it is counted as skipped. So is an ignored one, unless
# the reason it gives begins with `prints` (a tool to run by hand) or `part of` (another test runs it).
tally_cargo() {
  local log=$1 stage=$2 status=$3 before
  before=$(wc -l < "$TALLY")
  awk -v stage="$stage" '
    /^test .* \.\.\. / && !/ - should panic \.\.\. $/ {
      name = $0; sub(/^test /, "", name); sub(/ \.\.\. .*/, "", name); sub(/ - should panic$/, "", name)
      outcome = $0; sub(/.* \.\.\. /, "", outcome)
      if (outcome ~ /^ok/) { order[++count] = name; result[count] = "passed" }
      else if (outcome ~ /^FAILED/) { order[++count] = name; result[count] = "failed" }
      else if (outcome ~ /^ignored, (prints|part of)/) { by_hand++ }
      else if (outcome ~ /^ignored/) { order[++count] = name; result[count] = "skipped"; why[count] = outcome; ignored++ }
    }
    /^---- .* stdout ----$/ { shown = $0; sub(/^---- /, "", shown); sub(/ stdout ----$/, "", shown) }
    /^(successes|failures):$/ { shown = "" }
    /^skipped: / && shown != "" {
      for (i = count; i > 0; i--) if (order[i] == shown) break
      if (i && result[i] == "passed") { result[i] = "skipped"; why[i] = substr($0, 10) }
    }
    /^test result: / {
      ok += $4; bad += $6
    }
    END {
      for (i = 1; i <= count; i++) {
        seen[result[i]]++
        line = result[i] " " stage ": " order[i]
        print result[i] == "skipped" ? line ": " why[i] : line
      }
      # A test that writes past the harness can garble its line; the totals of the harness are the truth.
      for (i = seen["passed"] + seen["skipped"] - ignored; i < ok + 0; i++) print "passed " stage ": (name not shown)"
      for (i = seen["failed"] + 0; i < bad + 0; i++) print "failed " stage ": (name not shown)"
    }' "$log" > "$log.results"
  cat "$log.results" >> "$TALLY"
  grep -v '^passed' "$log.results"
  local failures
  failures=$(grep -c '^failed' "$log.results")
  if [ "$status" -ne 0 ] && [ "$failures" -eq 0 ]; then failed "$stage: ended with status $status"; fi
  if [ "$(wc -l < "$TALLY")" -eq "$before" ]; then failed "$stage: no test ran"; fi
}

# Prints the summary line and returns whether everything passed.
summary() {
  local ok bad left
  ok=$(grep -c '^passed ' "$TALLY"); bad=$(grep -c '^failed ' "$TALLY"); left=$(grep -c '^skipped ' "$TALLY")
  if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then echo "failed: nothing ran"; bad=1; fi
  if [ "$left" -gt 0 ]; then echo; echo "Skipped:"; sed -n 's/^skipped /  /p' "$TALLY"; fi
  if [ "$bad" -gt 0 ]; then echo; echo "Failed:"; sed -n 's/^failed /  /p' "$TALLY"; fi
  echo
  echo "$ok passed, $bad failed, $left skipped"
  [ "$bad" -eq 0 ]
}
