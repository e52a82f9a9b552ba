/* SPDX-License-Identifier: Apache-2.0 */
/* What others may know of a stream: names of its states, the proven peer, facts of TLS, a summary. */
#include "xmpp/stream_int.h"

#include <stdio.h>

#include "base/mem.h"

/* ---- names */

const char *xmpp_proof_text(enum xmpp_proof p)
{
	static const char *const text[] = {"external", "dialback", "certificate", "dane"};
	return text[p];
}

const char *xmpp_stream_state_text(enum xmpp_stream_state st)
{
	static const char *const text[] = {"new",  "header",   "features", "starttls", "tls",	  "negotiation",
					   "sasl", "dialback", "verify",   "open",     "closing", "closed"};
	return text[st];
}

/* ---- the proven peer */

struct slice xmpp_peer_local(const struct xmpp_peer *p)
{
	return p->local;
}

struct slice xmpp_peer_remote(const struct xmpp_peer *p)
{
	return p->remote;
}

enum xmpp_proof xmpp_peer_proof(const struct xmpp_peer *p)
{
	return p->proof;
}

bool xmpp_peer_encrypted(const struct xmpp_peer *p)
{
	return p->encrypted;
}

const struct xmpp_peer *xmpp_peer_copy(struct arena *a, const struct xmpp_peer *p)
{
	struct xmpp_peer *c = ARENA_NEW(a, struct xmpp_peer);
	if (!c)
		return NULL;
	*c = *p;
	c->local = arena_dup(a, p->local);
	c->remote = arena_dup(a, p->remote);
	return c->local.p && c->remote.p ? c : NULL;
}

const struct xmpp_peer *xmpp_peer_vouched(struct arena *a, struct slice local, struct slice remote, enum xmpp_proof proof, bool encrypted)
{
	const struct xmpp_peer p = {.local = local, .remote = remote, .proof = proof, .encrypted = encrypted};
	return xmpp_peer_copy(a, &p);
}

/* ---- TLS */

void stream_certificate_text(const struct xmpp_stream *s, char *ret, size_t size)
{
	if (!s->tls.certificate)
		snprintf(ret, size, "%.*s presented no certificate", SFMT(s->remote));
	else if (!s->tls.trusted)
		snprintf(ret, size, "the certificate of %.*s is not trusted: %.*s", SFMT(s->remote),
			 SFMT(slice_empty(s->tls.why) ? S("no valid chain") : s->tls.why));
	else
		snprintf(ret, size, "the certificate is not valid for the name %.*s", SFMT(s->remote));
}

static void *copy_names(struct slice **at, char **text, const struct slice *src, size_t n)
{
	struct slice *list = *at;
	for (size_t i = 0; i < n; i++) {
		list[i] = slice_of(*text, src[i].len);
		if (src[i].len)
			memcpy(*text, src[i].p, src[i].len);
		*text += src[i].len;
	}
	*at += n;
	return list;
}

static size_t names_len(const struct slice *src, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += src[i].len;
	return sum;
}

void stream_keep_tls(struct xmpp_stream *s, const struct xmpp_tls_info *info)
{
	const struct xmpp_cert_names *c = &info->names;
	const struct slice texts[] = {info->protocol, info->cipher, info->why, info->barred};
	size_t n = 4 + c->n_dns + c->n_srv + c->n_xmpp;
	size_t len =
		names_len(texts, 4) + names_len(c->dns, c->n_dns) + names_len(c->srv, c->n_srv) + names_len(c->xmpp, c->n_xmpp);
	mem_free(s->tls_block);
	s->tls_block = mem_calloc(1, n * sizeof(struct slice) + len + 1);
	struct slice *at = s->tls_block;
	char *text = (char *)(at + n);
	s->tls = *info;
	const struct slice *own = copy_names(&at, &text, texts, 4);
	s->tls.protocol = own[0];
	s->tls.cipher = own[1];
	s->tls.why = own[2];
	s->tls.barred = own[3];
	s->tls.names.dns = copy_names(&at, &text, c->dns, c->n_dns);
	s->tls.names.srv = copy_names(&at, &text, c->srv, c->n_srv);
	s->tls.names.xmpp = copy_names(&at, &text, c->xmpp, c->n_xmpp);
}

/* ---- summary */

void xmpp_stream_info(const struct xmpp_stream *s, struct xmpp_stream_info *ret)
{
	struct slice why = s->tls.why;
	if (s->secured && stream_certificate_good(s))
		why = SLICE_NONE;
	else if (s->secured && s->tls.trusted)
		why = s->identity == XMPP_IDENTITY_NONE ? S("the domain is not among its names") : SLICE_NONE;
	*ret = (struct xmpp_stream_info){
		.initiator = s->initiator,
		.resting = s->resting,
		.verify_only = s->verify_only,
		.state = s->state,
		.local = s->local,
		.remote = s->remote,
		.id = s->id,
		.tls = s->secured,
		.tls_protocol = s->tls.protocol,
		.tls_cipher = s->tls.cipher,
		.certificate_trusted = s->tls.trusted,
		.identity = s->identity,
		.certificate_why = why,
		.pairs = s->n_valid,
		.peer_ended = s->peer_ended,
		.peer_closed = s->peer_closed && !s->peer_failed,
		.stanzas_in = s->stanzas_in,
		.stanzas_out = s->stanzas_out,
		.bytes_in = s->bytes_in,
		.bytes_out = s->bytes_out,
		.started = s->started,
		.opened = s->opened,
		.peer_max_stanza = s->peer_max_stanza,
		.peer_dialback = (s->features & FEATURE_DIALBACK) || (s->legacy && s->peer_db),
		.peer_dialback_errors = (s->features & FEATURE_DIALBACK_ERRORS) != 0,
		.bidi = s->bidi,
		.acks = s->acks || s->counts,
		.unacked = s->acks ? s->stanzas_out - s->ack_taken : 0,
		.pending = s->came.pending,
	};
}
