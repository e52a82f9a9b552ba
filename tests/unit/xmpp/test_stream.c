/* SPDX-License-Identifier: Apache-2.0 */
/* Both engines back to back: every outcome of a negotiation, whatever the pieces in which bytes arrive. */
#include "stream_rig.h"

static const struct slice here_names[] = {{"here.example", 12}}, there_names[] = {{"there.example", 13}};
static const size_t chunks[] = {0, 1, 7};

struct duo {
	struct rig rig;
	struct end out, in; /* here.example connects to there.example */
};

static void duo_init(struct duo *d)
{
	rig_init(&d->rig);
	end_init(&d->out, &d->rig, "here.example second.example");
	end_init(&d->in, &d->rig, "there.example other.example");
	/* What each handshake finds is the other one's certificate. */
	set_names(&d->out, there_names, 1);
	set_names(&d->in, here_names, 1);
	end_receiver(&d->in);
	end_initiator(&d->out, "here.example", "there.example", false);
}

static void duo_free(struct duo *d)
{
	end_free(&d->out);
	end_free(&d->in);
	rig_free(&d->rig);
}

static void duo_run(struct duo *d, size_t chunk)
{
	xmpp_stream_start(d->out.s);
	pump(&d->out, &d->in, chunk);
}

static void duo_verdict(struct duo *d, enum xmpp_verdict v, const char *condition, size_t chunk)
{
	xmpp_stream_verify_done(d->in.s, &d->in.asked, v, slice_str(condition));
	pump(&d->out, &d->in, chunk);
}

static void duo_stanza(struct duo *d)
{
	assert_int_equal(
		xmpp_stream_send(d->out.s, S("<message from='a@here.example/x' to='b@there.example'><body>hi</body></message>")),
		0);
	pump(&d->out, &d->in, 0);
	assert_events(&d->in, "stanza message a@here.example/x->b@there.example by here.example");
}

static void test_external(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct duo d;
		duo_init(&d);
		duo_run(&d, chunks[i]);
		assert_events(&d.out, "tls", "established here.example there.example external tls");
		assert_events(&d.in, "tls", "established there.example here.example external tls");
		duo_stanza(&d);
		assert_int_equal(xmpp_stream_send(d.in.s, S("<x/>")), ENTENTE_EREFUSED);
		assert_int_equal(d.out.odd.len + d.in.odd.len, 0);
		duo_free(&d);
	}
}

/* Header and features leave in one write: three headers on each side, starttls and auth. */
static void test_coalesced(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	assert_int_equal(d.in.writes, 6);  /* header+features x 3, proceed, success, enabled */
	assert_int_equal(d.out.writes, 6); /* header x 3, starttls, auth, enable */
	duo_free(&d);
}

static void test_info(void **state)
{
	(void)state;
	struct duo d;
	struct xmpp_stream_info in, out;
	duo_init(&d);
	duo_run(&d, 0);
	duo_stanza(&d);
	xmpp_stream_info(d.in.s, &in);
	xmpp_stream_info(d.out.s, &out);
	assert_int_equal(in.state, XMPP_STREAM_OPEN);
	assert_slice(in.local, "there.example");
	assert_slice(in.remote, "here.example");
	assert_true(slice_eq(in.id, out.id) && in.id.len >= 20);
	assert_true(in.tls && out.tls);
	assert_slice(in.tls_protocol, "TLSv1.3");
	assert_int_equal(in.identity, XMPP_IDENTITY_DNS);
	assert_int_equal(in.stanzas_in, 1);
	assert_int_equal(out.stanzas_out, 1);
	assert_int_equal(in.bytes_in, out.bytes_out);
	assert_int_equal(out.peer_max_stanza, 256 << 10);
	assert_true(out.peer_dialback && out.peer_dialback_errors);
	assert_int_equal(in.pairs, 1);
	duo_free(&d);
}

static void test_peer_type(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	struct arena *a = arena_new(1 << 16);
	const struct xmpp_peer *p = xmpp_stream_peer(d.in.s, S("there.example"), S("here.example")), *copy = xmpp_peer_copy(a, p);
	assert_ptr_equal(p, d.in.peer_seen);
	assert_null(xmpp_stream_peer(d.in.s, S("other.example"), S("here.example")));
	duo_free(&d);
	assert_slice(xmpp_peer_remote(copy), "here.example");
	assert_slice(xmpp_peer_local(copy), "there.example");
	assert_int_equal(xmpp_peer_proof(copy), XMPP_PROOF_EXTERNAL);
	assert_true(xmpp_peer_encrypted(copy));
	arena_release(NULL, a);
}

static void test_dialback_tls(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct duo d;
		duo_init(&d);
		d.in.tls.trusted = false; /* the receiver does not like our certificate, so it does not offer EXTERNAL */
		d.in.tls.why = S("self-signed certificate");
		duo_run(&d, chunks[i]);
		assert_events(&d.in, "tls", "verify there.example here.example");
		assert_false(happened(&d.out, "established"));
		assert_int_equal(xmpp_stream_send(d.out.s, S("<x/>")), ENTENTE_EAGAIN);
		assert_true(xmpp_dialback_check(&d.rig.cfg.secrets.s[0], S("there.example"), S("here.example"), d.in.asked.id,
						d.in.asked.key));
		duo_verdict(&d, XMPP_VALID, "", chunks[i]);
		assert_events(&d.in, "established there.example here.example dialback tls");
		assert_events(&d.out, "established here.example there.example dialback tls");
		duo_stanza(&d);
		duo_free(&d);
	}
}

/* The initiator cannot use EXTERNAL either when the peer's certificate is bad. */
static void test_dialback_despite_bad_server_certificate(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	set_names(&d.out, here_names, 1); /* a name, but not the peer's */
	duo_run(&d, 0);
	duo_verdict(&d, XMPP_VALID, "", 0);
	assert_events(&d.out, "established here.example there.example dialback tls");
	duo_free(&d);
}

static void test_dialback_tcp(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct duo d;
		duo_init(&d);
		d.out.rules.tls = d.in.rules.tls = XMPP_OFF;
		duo_run(&d, chunks[i]);
		duo_verdict(&d, XMPP_VALID, "", chunks[i]);
		assert_events(&d.in, "verify", "established there.example here.example dialback\n");
		assert_events(&d.out, "established here.example there.example dialback\n");
		assert_false(happened(&d.out, "tls"));
		duo_stanza(&d);
		duo_free(&d);
	}
}

/* Every pair of rules, both certificates good or bad: what comes out is what the function of the negotiation table says. */
static void test_all_policies(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 18 * 18 * 8; n++) {
		unsigned o = n % 18, i = n / 18 % 18, rest = n / 324;
		bool out_ok = rest & 1, in_ok = rest & 2, lenient = rest & 4;
		struct duo d;
		duo_init(&d);
		struct xmpp_stream_policy *po = &d.out.rules, *pi = &d.in.rules;
		po->tls = (enum xmpp_need)(o % 3), po->sasl = (enum xmpp_need)(o / 3 % 3), po->dialback = o / 9;
		pi->tls = (enum xmpp_need)(i % 3), pi->sasl = (enum xmpp_need)(i / 3 % 3), pi->dialback = i / 9;
		po->lenient = pi->lenient = lenient;
		d.out.tls.trusted = out_ok;
		d.in.tls.trusted = in_ok;
		struct xmpp_methods mo = xmpp_negotiation_methods(po->tls, po->sasl, po->dialback, lenient);
		struct xmpp_methods mi = xmpp_negotiation_methods(pi->tls, pi->sasl, pi->dialback, lenient);
		bool tls = po->tls != XMPP_OFF && pi->tls != XMPP_OFF;
		const char *want = "failed";
		if (!xmpp_negotiation_possible(mo) || (po->tls == XMPP_REQUIRED && !tls) || (pi->tls == XMPP_REQUIRED && !tls))
			want = "failed";
		else if (tls && mo.external && mi.external && out_ok && in_ok)
			want = "established here.example there.example external tls";
		else if (tls && mo.dialback_tls && mi.dialback_tls)
			want = "established here.example there.example dialback tls";
		else if (!tls && mo.dialback_tcp && mi.dialback_tcp)
			want = "established here.example there.example dialback\n";
		duo_run(&d, 0);
		if (happened(&d.in, "verify"))
			duo_verdict(&d, XMPP_VALID, "", 0);
		if (!happened(&d.out, want))
			print_message("# row %u to %u, certificates %d %d, lenient %d: wanted %s in %s\n", o, i, out_ok, in_ok,
				      lenient, want, zstr(&d.out.events));
		assert_true(happened(&d.out, want));
		if (want[0] == 'f')
			assert_false(happened(&d.out, "established") || happened(&d.in, "established"));
		else
			assert_true(happened(&d.in, "established"));
		duo_free(&d);
	}
}

/* A failed stream always ends: close() on both sides. */
static void test_failure_closes(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.out.rules.dialback = false;
	d.out.tls.trusted = false;
	d.out.tls.why = S("certificate has expired");
	duo_run(&d, 0);
	assert_events(&d.out,
		      "failed xmpp/certificate at header sent not-authorized: the certificate of there.example is not trusted: "
		      "certificate has expired",
		      "close");
	assert_events(&d.in, "failed xmpp/not-authorized", "received not-authorized", "certificate has expired", "close");
	assert_int_equal(xmpp_stream_send(d.out.s, S("<x/>")), ENTENTE_ECLOSED);
	duo_free(&d);
}

static void test_receiver_refuses_certificate(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.rules.sasl = XMPP_REQUIRED;
	d.in.tls.certificate = d.in.tls.trusted = false;
	duo_run(&d, 0);
	assert_events(&d.in, "failed xmpp/certificate at header sent not-authorized: here.example presented no certificate",
		      "close");
	assert_events(
		&d.out, "failed xmpp/not-authorized",
		"received not-authorized: there.example ended the stream: not-authorized: here.example presented no certificate");
	duo_free(&d);
}

static void test_dialback_invalid(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.tls.trusted = false;
	duo_run(&d, 0);
	duo_verdict(&d, XMPP_INVALID, "", 0);
	assert_events(&d.in, "failed xmpp/dialback-failed", "close");
	assert_events(&d.out, "failed xmpp/dialback-failed at dialback sent : there.example found our dialback key invalid",
		      "close");
	duo_free(&d);
}

static void test_dialback_undecided(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.tls.trusted = false;
	duo_run(&d, 0);
	duo_verdict(&d, XMPP_UNDECIDED, "", 0);
	assert_events(&d.in, "pair_failed there.example here.example");
	assert_events(&d.out, "failed xmpp/dialback-failed", "remote-server-not-found", "could not find our server by DNS",
		      "close");
	duo_free(&d);
}

/* Nobody answers the receiver: it says so; were it silent, our own timer would say it (S06). */
static void test_dialback_timeout(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.tls.trusted = false;
	duo_run(&d, 0);
	rig_wait(&d.rig, 24900);
	pump(&d.out, &d.in, 0);
	assert_false(happened(&d.out, "failed"));
	rig_wait(&d.rig, 200);
	pump(&d.out, &d.in, 0);
	assert_true(happened(&d.in, "pair_failed") || happened(&d.out, "failed xmpp/dialback-failed"));
	assert_true(happened(&d.out, "failed xmpp/dialback-failed"));
	/* An answer that comes too late changes nothing. */
	xmpp_stream_verify_done(d.in.s, &d.in.asked, XMPP_VALID, SLICE_NONE);
	assert_false(happened(&d.in, "established"));
	duo_free(&d);
}

static void test_dialback_unanswered(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.tls.trusted = false;
	duo_run(&d, 0);
	d.in.s = xmpp_stream_free(d.in.s); /* the peer hangs */
	rig_wait(&d.rig, 25100);
	assert_events(&d.out, "failed xmpp/dialback-failed at dialback sent : there.example did not answer our dialback request",
		      "XMPP server that DNS gives for here.example");
	rig_wait(&d.rig, 5100);
	assert_events(&d.out, "close");
	duo_free(&d);
}

static void test_setup_timeouts(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	xmpp_stream_start(d.out.s); /* the receiver hears nothing, the initiator neither */
	rig_wait(&d.rig, 30100);
	assert_events(&d.in, "failed xmpp/not-authorized at header sent connection-timeout: not authenticated within 30 s");
	assert_wire(&d.in, "<stream:stream", "<stream:error><connection-timeout", "</stream:stream>");
	assert_no_events(&d.out);
	rig_wait(&d.rig, 30100);
	assert_events(&d.out, "failed xmpp/unreachable at header", "there.example did not answer within 60 s");
	assert_events(&d.in, "close");
	rig_wait(&d.rig, 5100);
	assert_events(&d.out, "close");
	duo_free(&d);
}

static void test_tls_never_comes(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	xmpp_stream_start(d.out.s);
	for (int i = 0; i < 4 && !(d.out.want_tls && d.in.want_tls); i++) {
		struct slice x = buf_slice(&d.out.sent);
		xmpp_stream_input(d.in.s, x);
		buf_clear(&d.out.sent);
		x = buf_slice(&d.in.sent);
		xmpp_stream_input(d.out.s, x);
		buf_clear(&d.in.sent);
	}
	assert_true(d.out.want_tls && d.in.want_tls);
	buf_clear(&d.out.wire);
	rig_wait(&d.rig, 60100);
	assert_events(&d.out, "failed xmpp/tls-failed at tls", "close");
	assert_events(&d.in, "failed xmpp/tls-failed at tls", "close");
	assert_silent(&d.out);
	duo_free(&d);
}

static void test_tls_failed(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	xmpp_stream_start(d.out.s);
	for (int i = 0; i < 4 && !d.out.want_tls; i++) {
		xmpp_stream_input(d.in.s, buf_slice(&d.out.sent));
		buf_clear(&d.out.sent);
		xmpp_stream_input(d.out.s, buf_slice(&d.in.sent));
		buf_clear(&d.in.sent);
	}
	xmpp_stream_tls_failed(d.out.s, S("no shared cipher"));
	assert_events(&d.out,
		      "failed xmpp/tls-failed at tls sent : the TLS handshake with there.example failed: no shared cipher",
		      "close");
	xmpp_stream_disconnected(d.in.s, S("alert handshake failure"));
	assert_events(&d.in, "failed xmpp/tls-failed", "alert handshake failure", "close");
	duo_free(&d);
}

/* ---- after authentication */

static void test_clean_close(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct duo d;
		duo_init(&d);
		duo_run(&d, 0);
		buf_clear(&d.out.events);
		buf_clear(&d.in.events);
		xmpp_stream_close(who ? d.in.s : d.out.s);
		xmpp_stream_close(who ? d.in.s : d.out.s);
		assert_no_events(&d.out);
		pump(&d.out, &d.in, 0);
		assert_string_equal(zstr(&d.out.events), "close\n");
		assert_string_equal(zstr(&d.in.events), "close\n");
		duo_free(&d);
	}
}

static void test_both_close_at_once(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	buf_clear(&d.out.events);
	buf_clear(&d.in.events);
	xmpp_stream_close(d.in.s);
	xmpp_stream_close(d.out.s);
	pump(&d.out, &d.in, 1);
	assert_string_equal(zstr(&d.out.events), "close\n");
	assert_string_equal(zstr(&d.in.events), "close\n");
	duo_free(&d);
}

/* What was on its way when the receiver closed is still delivered; without an answer patience ends after 5 s (S27). */
static void test_close_drains(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.rig.cfg.acks = false; /* with them the sender's server knows that it was too late */
	duo_run(&d, 0);
	buf_clear(&d.in.events);
	xmpp_stream_close(d.in.s);
	give(&d.in, "<message from='a@here.example' to='b@there.example'/>");
	assert_events(&d.in, "stanza message");
	rig_wait(&d.rig, 4900);
	assert_no_events(&d.in);
	rig_wait(&d.rig, 200);
	assert_string_equal(zstr(&d.in.events), "close\n");
	duo_free(&d);
}

static void test_shutdown(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	buf_clear(&d.in.events);
	xmpp_stream_close_error(d.in.s, "system-shutdown", S("back in a minute"));
	pump(&d.out, &d.in, 0);
	assert_string_equal(zstr(&d.in.events), "close\n");
	assert_events(&d.out,
		      "failed xmpp/stream-error at open received system-shutdown: there.example ended the stream: "
		      "system-shutdown: back in a minute",
		      "close");
	duo_free(&d);
}

static void test_connection_lost(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	buf_clear(&d.out.wire);
	xmpp_stream_disconnected(d.out.s, S("Connection reset by peer"));
	assert_events(&d.out, "failed xmpp/unreachable at open", "Connection reset by peer", "close");
	assert_silent(&d.out);
	duo_free(&d);
}

static void test_keep_alive_and_idle(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.rig.cfg.acks = false;
	duo_run(&d, 0);
	buf_clear(&d.out.wire);
	rig_wait(&d.rig, 299000);
	assert_silent(&d.out);
	rig_wait(&d.rig, 1100);
	assert_string_equal(zstr(&d.out.wire), " ");
	pump(&d.out, &d.in, 0);
	/* A stanza puts both off. */
	rig_wait(&d.rig, 250000);
	duo_stanza(&d);
	buf_clear(&d.out.wire);
	rig_wait(&d.rig, 299000);
	assert_silent(&d.out);
	buf_clear(&d.out.events);
	buf_clear(&d.in.events);
	for (int i = 0; i < 6; i++) {
		rig_wait(&d.rig, 280000);
		pump(&d.out, &d.in, 0);
	}
	assert_string_equal(zstr(&d.out.events), "close\n");
	assert_string_equal(zstr(&d.in.events), "close\n");
	duo_free(&d);
}

static bool resting(const struct end *e)
{
	struct xmpp_stream_info i;
	xmpp_stream_info(e->s, &i);
	return i.resting;
}

/* Silent streams hold no parser, and nobody else notices. */
static void test_rest(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	rig_wait(&d.rig, d.rig.cfg.rest_ms - 1);
	assert_false(resting(&d.in) || resting(&d.out));
	rig_wait(&d.rig, 1);
	assert_true(resting(&d.in) && resting(&d.out));
	duo_stanza(&d);
	assert_false(resting(&d.in));
	rig_wait(&d.rig, d.rig.cfg.rest_ms - 1000);
	duo_stanza(&d);
	rig_wait(&d.rig, 1000); /* it was not silent all the time */
	assert_false(resting(&d.in));
	xmpp_stream_input(d.in.s, S("<message from='a@here.example' to='b@there.example' id='"));
	rig_wait(&d.rig, 2 * d.rig.cfg.rest_ms); /* in the middle of a stanza nothing may be forgotten */
	assert_false(resting(&d.in));
	xmpp_stream_input(d.in.s, S("half'/>"));
	assert_events(&d.in, "stanza message a@here.example->b@there.example by here.example");
	rig_wait(&d.rig, d.rig.cfg.rest_ms);
	assert_true(resting(&d.in));
	xmpp_stream_close(d.out.s); /* the closing tag needs one, too */
	pump(&d.out, &d.in, 0);
	assert_true(d.out.closed && d.in.closed);
	assert_int_equal(d.in.odd.len, 0);
	rig_wait(&d.rig, d.rig.cfg.rest_ms);
	duo_free(&d);
}

static void test_sizes(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.in.rules.max_stanza = 20000;
	duo_run(&d, 0);
	char *big = malloc(30000);
	memset(big, 'x', 30000);
	int n = snprintf(big, 100, "<message from='a@here.example' to='b@there.example'><body>");
	big[n] = 'x';
	memcpy(big + 19000, "</body></message>", 17);
	assert_int_equal(xmpp_stream_send(d.out.s, slice_of(big, 19017)), 0);
	pump(&d.out, &d.in, 0);
	assert_events(&d.in, "stanza message");
	/* The peer announced its limit (XEP-0478), so a larger one is not even sent; one that comes all the same is left out, and the
	 * next one comes. */
	assert_int_equal(xmpp_stream_send(d.out.s, slice_of(big, 20001)), ENTENTE_ELIMIT);
	memset(big + 19000, 'x', 17);
	memcpy(big + 30000 - 17, "</body></message>", 17);
	xmpp_stream_input(d.in.s, slice_of(big, 30000));
	assert_events(&d.in, "oversize message a@here.example->b@there.example by here.example");
	duo_stanza(&d);
	/* But not without end: twice as much ends the stream. */
	memset(big + 30000 - 17, 'x', 17);
	xmpp_stream_input(d.in.s, slice_of(big, 30000));
	xmpp_stream_input(d.in.s, slice_of(big + 1000, 10001));
	assert_events(&d.in, "failed limit/size at open sent policy-violation");
	assert_wire(&d.in, "<policy-violation", "<stanza-too-big xmlns='urn:xmpp:errors'/>", "</stream:error></stream:stream>");
	free(big);
	duo_free(&d);
}

/* ---- memory */

/* The linker sends every allocation of src/base's makers here. */
static unsigned allocations;
void *__real_mem_calloc(size_t n, size_t size);
void *__real_mem_realloc(void *p, size_t size);
void *__wrap_mem_calloc(size_t n, size_t size);
void *__wrap_mem_realloc(void *p, size_t size);

void *__wrap_mem_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_mem_calloc(n, size);
}

void *__wrap_mem_realloc(void *p, size_t size)
{
	allocations++;
	return __real_mem_realloc(p, size);
}

static void count_stanza(void *arg, struct xmpp_stanza *st)
{
	struct end *e = arg;
	e->writes++;
	arena_release(e->rig->pool, st->arena);
}

static void test_nothing_allocated_when_open(void **state)
{
	(void)state;
	const struct slice stanza =
		S("<message from='a@here.example/x' to='b@there.example' type='chat' id='1'><body>hello</body></message>");
	struct rig rig;
	rig_init(&rig);
	/* Ends that record would allocate: quiet ones take their place. */
	struct xmpp_stream_ops in_ops = rig_ops;
	in_ops.stanza = count_stanza;
	in_ops.trace = NULL;
	struct end quiet;
	end_init(&quiet, &rig, "there.example");
	quiet.s = xmpp_stream_new_receiver(&rig.cfg, &in_ops, &quiet);
	xmpp_stream_start(quiet.s);
	quiet.rules.tls = XMPP_OFF;
	give(&quiet, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='here.example'"
		     " to='there.example' version='1.0'><db:result xmlns:db='jabber:server:dialback' from='here.example'"
		     " to='there.example'>k</db:result>");
	xmpp_stream_verify_done(quiet.s, &quiet.asked, XMPP_VALID, SLICE_NONE);
	quiet.writes = 0;
	for (int round = 0; round < 2; round++) {
		allocations = 0; /* the first round warms up */
		for (int i = 0; i < 1000; i++)
			xmpp_stream_input(quiet.s, stanza);
	}
	assert_int_equal(quiet.writes, 2000);
	assert_int_equal(allocations, 0);
	end_free(&quiet);

	struct xmpp_stream_ops out_ops = rig_ops;
	out_ops.trace = NULL;
	end_init(&quiet, &rig, "here.example");
	quiet.rules.tls = XMPP_OFF;
	quiet.s = xmpp_stream_new_initiator(&rig.cfg, &out_ops, &quiet, S("here.example"), S("there.example"), false);
	xmpp_stream_start(quiet.s);
	give(&quiet, "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
		     "xmlns:db='jabber:server:dialback'"
		     " id='1'><db:result from='there.example' to='here.example' type='valid'/>");
	assert_events(&quiet, "established");
	buf_clear(&quiet.sent);
	buf_clear(&quiet.wire);
	assert_non_null(buf_reserve(&quiet.sent, 1 << 20));
	assert_non_null(buf_reserve(&quiet.wire, 1 << 20));
	allocations = 0;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(xmpp_stream_send(quiet.s, stanza), 0);
	assert_int_equal(allocations, 0);
	end_free(&quiet);
	rig_free(&rig);
}

/* ---- more pairs on one stream (S10, S11) */

static void test_multiplex(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	assert_int_equal(xmpp_stream_add(d.out.s, S("here.example"), S("there.example")), ENTENTE_EEXIST);
	assert_int_equal(xmpp_stream_add(d.out.s, S("foreign.example"), S("there.example")), ENTENTE_EREFUSED);
	assert_int_equal(xmpp_stream_add(d.out.s, S("second.example"), S("there.example")), 0);
	pump(&d.out, &d.in, 0);
	assert_events(&d.in, "established there.example here.example external", "verify there.example second.example");
	assert_null(xmpp_stream_peer(d.out.s, S("second.example"), S("there.example")));
	duo_verdict(&d, XMPP_VALID, "", 0);
	assert_events(&d.out, "established here.example there.example external",
		      "established second.example there.example dialback tls");
	assert_events(&d.in, "established there.example second.example dialback tls");
	give(&d.in, "<iq type='get' id='1' from='second.example' to='there.example'/>");
	assert_events(&d.in, "stanza iq second.example->there.example by second.example");
	/* Another target domain, which the peer hosts. */
	assert_int_equal(xmpp_stream_add(d.out.s, S("here.example"), S("other.example")), 0);
	pump(&d.out, &d.in, 0);
	duo_verdict(&d, XMPP_VALID, "", 0);
	assert_events(&d.out, "established here.example other.example dialback tls");
	/* And one that it does not. */
	assert_int_equal(xmpp_stream_add(d.out.s, S("here.example"), S("nowhere.example")), 0);
	pump(&d.out, &d.in, 0);
	assert_events(
		&d.out,
		"pair_failed here.example nowhere.example nowhere.example answered our dialback request with item-not-found");
	duo_stanza(&d);
	/* invalid for a further pair leaves the stream alone */
	assert_int_equal(xmpp_stream_add(d.out.s, S("second.example"), S("other.example")), 0);
	pump(&d.out, &d.in, 0);
	duo_verdict(&d, XMPP_INVALID, "", 0);
	assert_events(&d.out, "pair_failed second.example other.example");
	duo_stanza(&d);
	duo_free(&d);
}

static void test_too_many_pairs(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	d.rig.cfg.max_pending = 2;
	duo_run(&d, 0);
	for (int i = 0; i < 3; i++) {
		char el[200];
		snprintf(el, sizeof el,
			 "<db:result xmlns:db='jabber:server:dialback' from='d%d.example' to='there.example'>k</db:result>", i);
		buf_clear(&d.in.wire);
		give(&d.in, el);
	}
	assert_wire(&d.in, "type='error'", "<error type='wait'><resource-constraint");
	/* A repeated request is not asked twice (a peer's queue may send it so). */
	buf_clear(&d.in.events);
	give(&d.in, "<db:result xmlns:db='jabber:server:dialback' from='d1.example' to='there.example'>k</db:result>");
	assert_no_events(&d.in);
	assert_silent(&d.in);
	duo_free(&d);
}

/* ---- questions */

static void test_verify_only(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct duo d;
		duo_init(&d);
		end_free(&d.out);
		end_init(&d.out, &d.rig, "here.example second.example");
		d.out.rules.tls = d.in.rules.tls = tls ? XMPP_REQUIRED : XMPP_OFF;
		end_initiator(&d.out, "here.example", "there.example", true);
		char key[XMPP_DIALBACK_KEY + 1];
		xmpp_dialback_key(key, &d.rig.cfg.secrets.s[0], S("here.example"), S("there.example"), S("id1"));
		struct xmpp_verify good = {S("here.example"), S("there.example"), S("id1"), slice_str(key)}, bad = good,
				   foreign = good;
		bad.id = S("id2");
		foreign.remote = S("elsewhere.example");
		assert_int_equal(xmpp_stream_verify(d.out.s, &good), 0);
		assert_int_equal(xmpp_stream_verify(d.out.s, &bad), 0);
		assert_int_equal(xmpp_stream_verify(d.out.s, &foreign), ENTENTE_EINVAL);
		assert_int_equal(xmpp_stream_verify(d.in.s, &good), ENTENTE_EINVAL);
		duo_run(&d, tls);
		assert_events(&d.out, "verified here.example there.example valid", "verified here.example there.example invalid",
			      "close");
		assert_false(happened(&d.in, "failed"));
		assert_events(&d.in, "close");
		duo_free(&d);
	}
}

/* On a stream that authenticates by EXTERNAL, questions go out when it is open; on one that waits for dialback at once, lest two
 * servers wait for each other. */
static void test_verify_on_the_way(void **state)
{
	(void)state;
	for (int ext = 0; ext < 2; ext++) {
		struct duo d;
		duo_init(&d);
		d.in.tls.trusted = ext;
		struct xmpp_verify v = {S("here.example"), S("there.example"), S("id1"), S("wrong")};
		assert_int_equal(xmpp_stream_verify(d.out.s, &v), 0);
		duo_run(&d, 0);
		assert_true(happened(&d.out, "verified here.example there.example invalid"));
		assert_int_equal(happened(&d.out, "established"), ext);
		assert_int_equal(xmpp_stream_verify(d.out.s, &v), 0);
		pump(&d.out, &d.in, 0);
		duo_free(&d);
	}
}

static void test_question_ends_with_the_stream(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	struct xmpp_verify v = {S("here.example"), S("there.example"), S("id1"), S("k")};
	assert_int_equal(xmpp_stream_verify(d.out.s, &v), 0);
	xmpp_stream_start(d.out.s);
	xmpp_stream_disconnected(d.out.s, SLICE_NONE);
	assert_events(&d.out, "verified here.example there.example undecided remote-connection-failed", "failed xmpp/unreachable",
		      "close");
	assert_int_equal(xmpp_stream_verify(d.out.s, &v), ENTENTE_ECLOSED);
	duo_free(&d);
}

static void test_question_timeout(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	struct xmpp_verify v = {S("here.example"), S("there.example"), S("id1"), S("k")};
	assert_int_equal(xmpp_stream_verify(d.out.s, &v), 0);
	buf_clear(&d.out.sent); /* lost */
	rig_wait(&d.rig, 25100);
	assert_events(&d.out, "verified here.example there.example undecided remote-server-timeout");
	duo_stanza(&d);
	duo_free(&d);
}

/* ---- the owner's freedom */

static void test_free_in_callback(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	duo_run(&d, 0);
	d.in.free_on_failed = true;
	give(&d.in, "<message/><message from='a@here.example' to='b@there.example'/>");
	assert_null(d.in.s);
	assert_false(happened(&d.in, "stanza message"));
	duo_free(&d);
}

static void test_not_allowed_at_all(void **state)
{
	(void)state;
	struct duo d;
	duo_init(&d);
	end_free(&d.out);
	end_init(&d.out, &d.rig, "here.example");
	end_initiator(&d.out, "here.example", "stranger.example", false);
	xmpp_stream_start(d.out.s);
	assert_silent(&d.out);
	assert_events(&d.out, "failed policy/partner-unknown", "close");
	duo_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_coalesced),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_peer_type),
		cmocka_unit_test(test_dialback_tls),
		cmocka_unit_test(test_dialback_despite_bad_server_certificate),
		cmocka_unit_test(test_dialback_tcp),
		cmocka_unit_test(test_all_policies),
		cmocka_unit_test(test_failure_closes),
		cmocka_unit_test(test_receiver_refuses_certificate),
		cmocka_unit_test(test_dialback_invalid),
		cmocka_unit_test(test_dialback_undecided),
		cmocka_unit_test(test_dialback_timeout),
		NAMED("S06 db:result never answered: our timer", test_dialback_unanswered),
		cmocka_unit_test(test_setup_timeouts),
		cmocka_unit_test(test_tls_never_comes),
		cmocka_unit_test(test_tls_failed),
		NAMED("S27 close handshake", test_clean_close),
		NAMED("S27 both close at once", test_both_close_at_once),
		NAMED("S27 half-closed peer", test_close_drains),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_keep_alive_and_idle), cmocka_unit_test(test_rest),
		NAMED("S20 too big, both ways", test_sizes), cmocka_unit_test(test_nothing_allocated_when_open),
		NAMED("S10 more pairs on one EXTERNAL stream", test_multiplex),
		cmocka_unit_test(test_too_many_pairs),
		cmocka_unit_test(test_verify_only),
		cmocka_unit_test(test_verify_on_the_way),
		cmocka_unit_test(test_question_ends_with_the_stream),
		cmocka_unit_test(test_question_timeout),
		cmocka_unit_test(test_free_in_callback),
		cmocka_unit_test(test_not_allowed_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
