#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# completion SCRIPT ENTENTE: what bash completes with the generated script; TAP.
script=$1
export LC_ALL=C
PATH=$(dirname "$2"):$PATH
export ENTENTE_SOCKET=/nonexistent
# shellcheck disable=SC1090
. "$script"
n=0
failed=0

# completes WORD... -- EXPECTED...: the last word is the one being typed.
completes() {
    local words=(entente) expected
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    expected="$*"
    COMP_WORDS=("${words[@]}")
    COMP_CWORD=$((${#words[@]} - 1))
    COMPREPLY=()
    _entente
    n=$((n + 1))
    # shellcheck disable=SC2086
    if [ "$(printf '%s\n' "${COMPREPLY[@]}" | sort | xargs)" = "$(printf '%s\n' $expected | sort | xargs)" ]; then
        echo "ok $n - ${words[*]}"
    else
        echo "not ok $n - ${words[*]}"
        echo "# got ${COMPREPLY[*]}, expected $expected"
        failed=1
    fi
}

# shellcheck disable=SC2317  # works only while bash completes; the script calls it
compopt() { :; }

completes st -- status
completes pl -- plan
completes partner '' -- xmpp test
completes partner xmpp s -- set show
completes --json partner xmpp l -- list
completes --socket /tmp/partner show ho -- homes
completes partner xmpp add a.test --ty -- --type
completes partner xmpp add a.test --type p -- public-verified public-unverified
completes partner xmpp set a.test --no-s -- --no-sasl --no-server
completes explain --kind pres -- presence presence-subscribe presence-probe presence-state
completes reason policy/partner -- policy/partner-unknown policy/partner-disabled
completes config explain limits.max-st -- limits.max-stanza limits.max-stanza-before-auth
completes status --js -- --json
completes partner xmpp show '' -- ''
completes history --limit '' -- ''
completes status xyzzy -- ''
echo "1..$n"
exit $failed
