#!/bin/zsh -f
# SPDX-License-Identifier: Apache-2.0
# completion.zsh SCRIPT ENTENTE: what zsh completes with the generated function; TAP. zsh's own functions are replaced by ones that keep
# what they are given; the matching is zsh's business.
script=$1
path=(${2:h} $path)
export LC_ALL=C ENTENTE_SOCKET=/nonexistent
integer n=0 failed=0
typeset -a offered

compadd() { [[ $1 == -- ]] && shift; offered=($@) }
_describe() { [[ $1 == -o ]] && shift; offered=(${${(P)2}%%:*}) }
_files() { offered=(FILES) }
_message() { offered=() }
eval "_entente() { $(<$script) }"

# completes WORD... -- EXPECTED...: the last word is the one being typed.
completes() {
  local -a words=(entente "${(@)@[1,${@[(i)--]}-1]}") expected=(${@[${@[(i)--]}+1,-1]}) got
  local PREFIX=${words[-1]}
  integer CURRENT=$#words
  offered=()
  _entente
  got=(${(M)offered:#${PREFIX}*})
  (( ++n ))
  if [[ ${(o)got} == ${(o)expected} ]]; then
    print "ok $n - $words"
  else
    print "not ok $n - $words\n# got $got, expected $expected"
    failed=1
  fi
}

completes st -- status
completes partner xmpp s -- set show
completes --json partner xmpp l -- list
completes --socket /tmp/partner show ho -- homes
completes partner xmpp add a.test --ty -- --type
completes partner xmpp add a.test --type p -- public-verified public-unverified
completes partner xmpp set a.test --no-s -- --no-sasl --no-server
completes explain --kind pres -- presence presence-subscribe presence-probe presence-state
completes reason policy/partner-u -- policy/partner-unknown
completes config explain limits.max-st -- limits.max-stanza limits.max-stanza-before-auth
completes config check '' -- FILES
completes status xyzzy --
print "1..$n"
exit $failed
