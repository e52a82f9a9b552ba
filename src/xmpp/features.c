/* SPDX-License-Identifier: Apache-2.0 */
/* Stream features: one table of those that a receiver writes, one of those that an initiator reads (RFC 6120 4.3.2). A further
 * feature is a further row. */
#include "xmpp/stream_int.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- ours */

bool features_offer_starttls(const struct xmpp_stream *s)
{
	return !s->secured && !s->n_valid && s->policy.tls != XMPP_OFF;
}

/* Only to whom it will be granted: certificate valid for the domain that the header names (RFC 6120 6.3.4), and both domains
 * known. */
bool features_offer_external(const struct xmpp_stream *s)
{
	return s->methods.external && stream_certificate_good(s) && !s->n_valid && !slice_empty(s->local) &&
	       !slice_empty(s->remote);
}

bool features_offer_dialback(const struct xmpp_stream *s)
{
	return s->secured ? s->methods.dialback_tls : s->methods.dialback_tcp;
}

/* In the clear nobody can tell who else reads along what we send to an address that DNS gave. */
bool features_offer_bidi(const struct xmpp_stream *s)
{
	return s->cfg->bidi && s->policy.bidi && s->secured && !s->n_valid;
}

static bool offer_limits(const struct xmpp_stream *s)
{
	return s->secured || s->n_valid;
}

static bool offer_acks(const struct xmpp_stream *s)
{
	return s->n_valid && s->cfg->acks;
}

static bool offer_extra(const struct xmpp_stream *s)
{
	return s->n_valid && !slice_empty(s->cfg->features);
}

static void write_starttls(const struct xmpp_stream *s, struct buf *b)
{
	buf_puts(b, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'");
	/* also where nothing but TLS leads on (RFC 6120 5.3.1): some wait for ever when it is not said */
	buf_puts(b, s->policy.tls == XMPP_REQUIRED || !s->methods.dialback_tcp ? "><required/></starttls>" : "/>");
}

static void write_mechanisms(const struct xmpp_stream *s, struct buf *b)
{
	(void)s;
	buf_puts(b, "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>");
}

static void write_dialback(const struct xmpp_stream *s, struct buf *b)
{
	(void)s;
	buf_puts(b, "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
}

static void write_bidi(const struct xmpp_stream *s, struct buf *b)
{
	(void)s;
	buf_puts(b, "<bidi xmlns='urn:xmpp:features:bidi'/>");
}

static void write_limits(const struct xmpp_stream *s, struct buf *b)
{
	size_t max = s->policy.max_stanza ? s->policy.max_stanza : s->cfg->max_stanza;
	buf_puts(b, "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>");
	buf_u64(b, max);
	buf_puts(b, "</max-bytes>");
	if (s->cfg->idle_ms) {
		buf_puts(b, "<idle-seconds>");
		buf_u64(b, s->cfg->idle_ms / 1000);
		buf_puts(b, "</idle-seconds>");
	}
	buf_puts(b, "</limits>");
}

static void write_acks(const struct xmpp_stream *s, struct buf *b)
{
	(void)s;
	buf_puts(b, "<sm xmlns='urn:xmpp:sm:3'/>");
}

static void write_extra(const struct xmpp_stream *s, struct buf *b)
{
	buf_put(b, s->cfg->features);
}

static const struct {
	bool (*when)(const struct xmpp_stream *s);
	void (*write)(const struct xmpp_stream *s, struct buf *b);
} ours[] = {
	{features_offer_starttls, write_starttls},
	{features_offer_external, write_mechanisms},
	{features_offer_dialback, write_dialback},
	{features_offer_bidi, write_bidi},
	{offer_limits, write_limits},
	{offer_acks, write_acks},
	{offer_extra, write_extra},
};

void features_write(struct xmpp_stream *s)
{
	buf_puts(&s->out, "<stream:features>");
	for (size_t i = 0; i < COUNT(ours); i++)
		if (ours[i].when(s))
			ours[i].write(s, &s->out);
	buf_puts(&s->out, "</stream:features>");
}

void features_write_bidi(struct xmpp_stream *s)
{
	buf_puts(&s->out, "<bidi xmlns='urn:xmpp:bidi'>");
	write_limits(s, &s->out);
	buf_puts(&s->out, "</bidi>");
}

/* ---- the peer's */

static void read_starttls(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	(void)a;
	s->features |= FEATURE_STARTTLS;
	if (xml_child(n, S("required"), XMPP_NS_TLS))
		s->features |= FEATURE_STARTTLS_REQUIRED;
}

static void read_mechanisms(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	/* ejabberd without TLS sends an empty list. */
	for (const struct xml_node *m = xml_child(n, S("mechanism"), XMPP_NS_SASL); m; m = xml_next_same(m)) {
		s->features |= FEATURE_MECHANISMS;
		if (slice_eq(slice_trim(xml_text(m, a)), S("EXTERNAL")))
			s->features |= FEATURE_EXTERNAL;
	}
}

static void read_dialback(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	(void)a;
	s->features |= FEATURE_DIALBACK;
	if (xml_child(n, S("errors"), SLICE_NONE))
		s->features |= FEATURE_DIALBACK_ERRORS;
}

static void read_acks(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	(void)n, (void)a;
	s->features |= FEATURE_ACKS;
}

static void read_limits(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	enum { LEAST = 10000, IDLE_MAX = 86400 }; /* RFC 6120 13.12: nobody may take less */
	const struct xml_node *max = xml_child(n, S("max-bytes"), XMPP_NS_LIMITS), *idle = xml_child(n, S("idle-seconds"), XMPP_NS_LIMITS);
	uint64_t v;
	if (max && slice_u64(slice_trim(xml_text(max, a)), SIZE_MAX, &v))
		s->peer_max_stanza = v < LEAST ? LEAST : (size_t)v;
	if (idle && slice_u64(slice_trim(xml_text(idle, a)), IDLE_MAX, &v))
		s->peer_idle_ms = (uint32_t)v * 1000;
}

static void read_bidi(struct xmpp_stream *s, const struct xml_node *n, struct arena *a)
{
	(void)n, (void)a;
	s->features |= FEATURE_BIDI;
}

void features_read_bidi(struct xmpp_stream *s, const struct xml_node *bidi, struct arena *a)
{
	const struct xml_node *limits = xml_child(bidi, S("limits"), XMPP_NS_LIMITS);
	if (limits)
		read_limits(s, limits, a);
}

static const struct {
	const char *name, *ns;
	void (*read)(struct xmpp_stream *s, const struct xml_node *n, struct arena *a);
} theirs[] = {
	{"starttls", "urn:ietf:params:xml:ns:xmpp-tls", read_starttls},
	{"mechanisms", "urn:ietf:params:xml:ns:xmpp-sasl", read_mechanisms},
	{"dialback", "urn:xmpp:features:dialback", read_dialback},
	{"limits", "urn:xmpp:stream-limits:0", read_limits},
	{"sm", "urn:xmpp:sm:3", read_acks},
	{"bidi", "urn:xmpp:features:bidi", read_bidi},
	{"bidi", "urn:xmpp:bidi", read_bidi}, /* ejabberd up to 2026 */
};

void features_read(struct xmpp_stream *s, const struct xml_node *features, struct arena *a)
{
	s->features = 0;
	for (const struct xml_node *n = xml_first(features); n; n = xml_next(n))
		for (size_t i = 0; i < COUNT(theirs); i++)
			if (xml_is(n, slice_str(theirs[i].name), slice_str(theirs[i].ns)))
				theirs[i].read(s, n, a);
	stream_trace(s, XMPP_TRACE_STEP, "%.*s offers:%s%s%s%s%s%s", SFMT(slice_first(s->remote, 100)),
		     s->features & FEATURE_STARTTLS_REQUIRED ? " STARTTLS (required)" : s->features & FEATURE_STARTTLS ? " STARTTLS" : "",
		     s->features & FEATURE_EXTERNAL	 ? " EXTERNAL"
		     : s->features & FEATURE_MECHANISMS ? " SASL without EXTERNAL"
							 : "",
		     s->features & FEATURE_DIALBACK ? " dialback" : "", s->features & FEATURE_ACKS ? " acknowledgements" : "",
		     s->peer_max_stanza ? " limits" : "", s->features || s->peer_max_stanza ? "" : " nothing");
}
