#!/usr/bin/fish --no-config
# SPDX-License-Identifier: Apache-2.0
# completion.fish SCRIPT ENTENTE: what fish completes with the generated script; TAP.
set -gx LC_ALL C
set -gx ENTENTE_SOCKET /nonexistent
set -gx PATH (dirname $argv[2]) $PATH
source $argv[1]
set -g n 0
set -g failed 0

# completes LINE EXPECTED...
function completes
    set n (math $n + 1)
    set -l got (complete -C "entente $argv[1]" | string replace -r '\t.*' '' | sort)
    set -l expected (printf '%s\n' $argv[2..-1] | sort)
    if test "$got" = "$expected"
        echo "ok $n - $argv[1]"
    else
        echo "not ok $n - $argv[1]"
        echo "# got $got, expected $expected"
        set failed 1
    end
end

completes st status
completes 'partner xmpp s' set show
completes '--json partner xmpp l' list
completes '--socket /tmp/partner show ho' homes
completes 'partner xmpp add a.test --ty' --type
completes 'partner xmpp add a.test --type p' public-verified public-unverified
completes 'partner xmpp set a.test --no-s' --no-sasl --no-server
completes 'explain --kind pres' presence presence-subscribe presence-probe presence-state
completes 'reason policy/partner-u' policy/partner-unknown
completes 'config explain limits.max-st' limits.max-stanza limits.max-stanza-before-auth
completes 'status xyzzy'
echo "1..$n"
exit $failed
