/* SPDX-License-Identifier: Apache-2.0 */
/* Two wires on one loop over 127.0.0.1, with certificates made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../net/pki.h"
#include "base/clock.h"
#include "base/mem.h"
#include "link/wire.h"

struct side {
	struct link_wire *wire;
	struct tls_ctx *tls;
	struct slice names[2];
	struct link_wire_config cfg;
	struct entente_err err;
	bool up, down, left, drained;
	uint64_t frames, octets;
};

static struct loop *loop;
static struct listener *listener;
static struct side edge, gateway;
static char *large;

static void on_up(void *arg, const struct link_hello *peer)
{
	struct side *d = arg;
	d->up = true;
	assert_true(slice_eq(peer->software, S("test")));
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct side *d = arg;
	d->frames++;
	if (f->kind == LINK_STANZA)
		d->octets += f->stanza.octets.len;
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct side *d = arg;
	(void)why, (void)text;
	d->left = true;
}

static void on_drained(void *arg)
{
	((struct side *)arg)->drained = true;
}

static void on_down(void *arg, const struct entente_err *why)
{
	struct side *d = arg;
	assert_false(d->down);
	d->down = true;
	d->err = *why;
	d->wire = link_wire_free(d->wire);
}

static const struct link_wire_ops ops = {.up = on_up, .frame = on_frame, .leaving = on_leaving, .drained = on_drained, .down = on_down};

static void side_make(struct side *d, enum link_role role, const char *certificate, const char *trust, const char *other)
{
	struct tls_settings s;
	struct tls_material *m;
	struct entente_err err;
	*d = (struct side){.names = {S("nobody.test"), slice_str(other)}};
	char pem[64], key[64], ca[64];
	snprintf(pem, sizeof pem, "%s.pem", certificate);
	snprintf(key, sizeof key, "%s.key", certificate);
	snprintf(ca, sizeof ca, "%s.pem", trust);
	link_wire_tls(&s, pki_path(pem), pki_path(key), pki_path(ca));
	assert_int_equal(tls_material_load(&m, &s, &err), 0);
	assert_int_equal(tls_ctx_new(&d->tls, m, &err), 0);
	tls_material_unref(m);
	d->cfg = (struct link_wire_config){.loop = loop, .tls = d->tls, .names = d->names, .n_names = 2, .connect_ms = 5000, .out_max = 8 << 20,
		.session = {.timers = &loop->timers, .own = {.version = LINK_VERSION, .role = role, .workers = 1, .software = S("test"), .name = S("n")}}};
	link_session_defaults(&d->cfg.session);
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)arg, (void)w, (void)from;
	assert_int_equal(link_wire_accept(&edge.wire, &edge.cfg, fd, pass, &ops, &edge, NULL), 0);
}

static void call(void)
{
	assert_int_equal(link_wire_connect(&gateway.wire, &gateway.cfg, listener_addr(listener), S("edge.test"), &ops, &gateway, NULL), 0);
}

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		for (uint64_t end_ = clock_ms() + 10000; !(cond) && clock_ms() < end_;)            \
			loop_once(loop, 2);                                                        \
		assert_true(cond);                                                                 \
	} while (0)

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "ca", .ca = 1}, NULL), other = pki_make(&(struct pki_spec){.cn = "other", .ca = 1}, NULL);
	struct pki e = pki_make(&(struct pki_spec){.cn = "e", .san = "DNS:edge.test"}, &ca), g = pki_make(&(struct pki_spec){.cn = "g", .san = "DNS:gateway.test"}, &ca);
	struct pki s = pki_make(&(struct pki_spec){.cn = "g", .san = "DNS:gateway.test"}, &other);
	pki_write("ca", &ca, NULL);
	pki_write("edge", &e, NULL);
	pki_write("gateway", &g, NULL);
	pki_write("stranger", &s, NULL);
	pki_free(&ca), pki_free(&other), pki_free(&e), pki_free(&g), pki_free(&s);
	large = mem_calloc(1, 1 << 20);
	memset(large, 'x', 1 << 20);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	mem_free(large);
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	struct listener_opts o = {.accepted = accepted};
	(void)state;
	assert_int_equal(loop_new(&loop, NULL, NULL), 0);
	addr_parse(S("127.0.0.1"), 0, &o.addr);
	assert_int_equal(listener_new(&listener, loop, &o, NULL), 0);
	side_make(&edge, LINK_EDGE, "edge", "ca", "gateway.test");
	side_make(&gateway, LINK_GATEWAY, "gateway", "ca", "edge.test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	link_wire_free(edge.wire);
	link_wire_free(gateway.wire);
	listener_free(listener);
	tls_ctx_unref(edge.tls);
	tls_ctx_unref(gateway.tls);
	loop_free(loop);
	return 0;
}

static void frames_pass(void **state)
{
	(void)state;
	call();
	UNTIL(edge.up && gateway.up);
	assert_true(link_wire_up(edge.wire));
	assert_int_equal(link_wire_send(gateway.wire, &(struct link_frame){.kind = LINK_DONE, .number = 1}, false), 0);
	UNTIL(edge.frames == 1);
	link_wire_goodbye(gateway.wire, LINK_BYE_STOPPING, S("bye"));
	UNTIL(edge.left);
	gateway.wire = link_wire_close(gateway.wire);
	UNTIL(edge.down);
	assert_int_equal(edge.err.reason, REASON_LINK_DOWN);
	assert_false(gateway.down);
}

static void wrong_name(void **state)
{
	(void)state;
	tls_ctx_unref(gateway.tls);
	side_make(&gateway, LINK_GATEWAY, "gateway", "ca", "another.test");
	call();
	UNTIL(gateway.down);
	assert_int_equal(gateway.err.reason, REASON_LINK_NAME);
	assert_non_null(strstr(gateway.err.text, "edge.test"));
	UNTIL(edge.down);
	assert_false(edge.up || gateway.up);
}

static void untrusted(void **state)
{
	(void)state;
	tls_ctx_unref(gateway.tls);
	side_make(&gateway, LINK_GATEWAY, "stranger", "ca", "edge.test");
	call();
	UNTIL(edge.down);
	assert_int_equal(edge.err.reason, REASON_LINK_UNTRUSTED);
	assert_false(edge.up || gateway.up);
	UNTIL(gateway.down);
}

static void congestion(void **state)
{
	(void)state;
	call();
	UNTIL(edge.up && gateway.up);
	link_wire_pause(gateway.wire);
	struct link_frame f = {.kind = LINK_STANZA, .stanza = {1, XMPP_PROOF_EXTERNAL, true, S("a"), S("b"), slice_of(large, 400 << 10)}};
	unsigned n = 0;
	int rc;
	for (; !(rc = link_wire_send(edge.wire, &f, false)) && n < 1000; n++)
		loop_once(loop, 0);
	assert_int_equal(rc, ENTENTE_EAGAIN);
	assert_true(link_wire_congested(edge.wire));
	assert_true(n < 100);
	/* what the other side's window bounds goes all the same */
	assert_int_equal(link_wire_send(edge.wire, &f, true), 0);
	link_wire_resume(gateway.wire);
	UNTIL(edge.drained && gateway.octets == (n + 1) * (400u << 10));
	/* but memory is bounded */
	link_wire_pause(gateway.wire);
	for (n = 0; !(rc = link_wire_send(edge.wire, &f, true)) && n < 1000; n++)
		loop_once(loop, 0);
	assert_int_equal(rc, ENTENTE_ECLOSED);
	UNTIL(edge.down);
}

static void largest(void **state)
{
	(void)state;
	char *p = mem_calloc(1, LINK_FRAME_MAX);
	call();
	UNTIL(edge.up && gateway.up);
	edge.cfg.out_max = 0;
	struct link_frame f = {.kind = LINK_STANZA, .stanza = {1, XMPP_PROOF_EXTERNAL, true, S("a"), S("b"), slice_of(p, LINK_FRAME_MAX)}};
	assert_int_equal(link_wire_send(edge.wire, &f, false), ENTENTE_ELIMIT);
	f.stanza.octets.len = 6 << 20;
	assert_int_equal(link_wire_send(edge.wire, &f, false), 0);
	UNTIL(gateway.octets == 6 << 20);
	mem_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(frames_pass), T(wrong_name), T(untrusted), T(congestion), T(largest)};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
