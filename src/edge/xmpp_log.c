/* SPDX-License-Identifier: Apache-2.0 */
/* One line for each event of a stream, always with the same keys, so that a line tells everything without the ones before it.
 * What is not known is left out. Never: what is written, keys, secrets. */
#include <stdio.h>
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "edge/xmpp_proxy_int.h"
#include "xmpp/identity.h"

enum { KEYS = 48, NUMBER = 24, HEX = 72 };

struct line {
	struct log_kv kv[KEYS];
	size_t n;
	char numbers[12][NUMBER];
	size_t n_numbers;
	char until[CLOCK_TEXT], pin[HEX], rules[96];
};

static void put(struct line *l, const char *key, struct slice value)
{
	if (l->n < KEYS)
		l->kv[l->n++] = (struct log_kv){key, value};
}

static void number(struct line *l, const char *key, uint64_t v)
{
	char *z = l->numbers[l->n_numbers++];
	snprintf(z, NUMBER, "%llu", (unsigned long long)v);
	put(l, key, slice_str(z));
}

static void certificate(struct line *l, const struct tls_peer *c, const struct xmpp_stream_info *i)
{
	struct buf hex = {.mem = l->pin, .cap = sizeof l->pin, .limit = sizeof l->pin};
	put(l, "alpn", c->alpn);
	put(l, "sni", c->sni);
	if (!c->has_cert)
		return;
	clock_text_at(c->not_after, l->until);
	hex_put(&hex, c->sha256, sizeof c->sha256);
	put(l, "subject", c->subject);
	put(l, "issuer", c->issuer);
	put(l, "match", slice_str(xmpp_identity_text(i->identity)));
	put(l, "not-after", slice_str(l->until));
	put(l, "sha256", buf_slice(&hex));
	put(l, "trusted", c->chain_ok ? S("yes") : S("no"));
	put(l, "why-not", c->chain_ok ? SLICE_NONE : c->why_not);
}

static const char *need(enum xmpp_need n)
{
	return n == XMPP_REQUIRED ? "required" : n == XMPP_OPTIONAL ? "optional" : "off";
}

static void rules(struct line *l, struct s2s *s, const struct xmpp_stream_info *i)
{
	if (!i->local.len || !i->remote.len)
		return;
	const struct policy_partner *partner;
	xmpp_proxy_judge(s->proxy, i->local, i->remote, &partner);
	if (!partner)
		return;
	snprintf(l->rules, sizeof l->rules, "tls %s, sasl %s, dialback %s", need(xmpp_proxy_need(partner->tls)),
		 need(xmpp_proxy_need(partner->sasl)), partner->dialback ? "on" : "off");
	put(l, "rules", slice_str(l->rules));
}

void xmpp_s2s_log(struct s2s *s, enum log_level level, const char *event, const struct xmpp_peer *peer, const struct slice *limit,
		  const struct log_kv *more, size_t n)
{
	struct line l = {.n = 0};
	struct xmpp_stream_info i = {0};
	uint64_t now = s->proxy->loop->timers.now;
	if (!log_enabled(level))
		return;
	if (s->stream) {
		xmpp_stream_info(s->stream, &i);
		if (!peer && i.local.len && i.remote.len)
			peer = xmpp_stream_peer(s->stream, i.local, i.remote);
	}
	if (peer) {
		i.local = xmpp_peer_local(peer);
		i.remote = xmpp_peer_remote(peer);
	}
	const struct tls_peer *c = s->conn ? conn_peer(s->conn) : NULL;
	number(&l, "stream", s->id);
	put(&l, "direction", s->inbound ? S("in") : S("out"));
	put(&l, "carries", i.bidi ? S("both") : s->inbound ? S("in") : S("out"));
	put(&l, "purpose", slice_eq(slice_str(s->purpose), S("messages")) ? SLICE_NONE : slice_str(s->purpose));
	put(&l, "local", i.local);
	put(&l, "partner", i.remote);
	put(&l, "address", slice_str(s->address));
	put(&l, "how", xmpp_s2s_how(s));
	for (size_t k = 0; k < n; k++)
		put(&l, more[k].key, more[k].value);
	put(&l, "proof", peer ? slice_str(xmpp_proof_text(xmpp_peer_proof(peer))) : SLICE_NONE);
	rules(&l, s, &i);
	put(&l, "tls", i.tls_protocol);
	put(&l, "cipher", i.tls_cipher);
	if (c)
		certificate(&l, c, &i);
	put(&l, "id", i.id);
	number(&l, "ms", now - s->since);
	if (i.opened) {
		number(&l, "stanzas-in", i.stanzas_in);
		number(&l, "stanzas-out", i.stanzas_out);
		number(&l, "octets-in", i.bytes_in);
		number(&l, "octets-out", i.bytes_out);
		number(&l, "unacknowledged", i.unacked);
	}
	if (s->link)
		number(&l, "queued", s->link->n_queue);
	if (limit)
		log_limited(level, event, *limit, l.kv, l.n);
	else
		log_event(level, event, l.kv, l.n);
}
