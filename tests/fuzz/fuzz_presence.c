/* SPDX-License-Identifier: Apache-2.0 */
/* A SIP user watches an XMPP contact whose server sends what it likes. Input: pieces between octets 1 (which XML does not know).
 * A piece that begins with "<" is a stanza, else its first octet is an event: a dialog opens (o) or ends (c), is restored (r), a
 * poll (p), the stream is lost (d) or back (u), time passes (t). What the watcher sees must always be a document that we can read
 * ourselves. */
#include "interwork/sip_watcher.h"
#include "xmpp/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                       \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

static struct sip_watcher *w;
static struct arena *arena;
static unsigned polls;

static void look(void)
{
	struct buf b;
	struct pidf p;
	buf_init(&b, 1 << 22);
	sip_watcher_body(w, &b);
	CHECK(buf_ok(&b));
	CHECK(!b.len || (pidf_read(&p, arena, buf_slice(&b), SLICE_NONE, 1600000000, NULL) == 0 && p.count >= 1));
	buf_free(&b);
}

static void on_stanza(void *arg, enum sip_watcher_stanza kind)
{
	(void)arg;
	CHECK(kind <= SIP_WATCHER_UNAVAILABLE);
}

static void on_notify(void *arg, bool active)
{
	(void)arg;
	CHECK(active == sip_watcher_active(w) && !sip_watcher_idle(w));
	look();
}

static void on_terminate(void *arg, struct slice reason, uint32_t retry_after)
{
	(void)arg;
	CHECK(reason.len && retry_after <= 300 && !sip_watcher_active(w));
}

static void on_polled(void *arg)
{
	(void)arg;
	CHECK(polls);
	polls = 0;
	look();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sip_watcher_ops ops = {on_stanza, on_notify, on_terminate, on_polled, NULL};
	static const struct sip_watcher_config cfg = {
		.poll_wait_ms = 3000, .poll_more_ms = 500, .link_grace_ms = 60000, .probe_wait_ms = 30000};
	struct slice rest = slice_of((const char *)data, size);
	struct timers timers;
	struct xml_node *n;
	if (size > 16384)
		return 0;
	if (!arena)
		arena = arena_new(16 << 20);
	arena_reset(arena);
	timers_init(&timers, 1000000);
	w = sip_watcher_new(&ops, NULL, &timers, &cfg, S("sip:juliet@xmpp.example"));
	polls = 0;
	while (rest.len) {
		struct slice piece = slice_split(&rest, 1);
		switch (piece.len ? piece.p[0] : 0) {
		case '<':
			if (xml_parse(&n, arena, piece, &xml_limits_default, NULL) == 0)
				sip_watcher_presence_in(w, n, xml_attr(n, S("resource")), arena, 1600000000);
			break;
		case 'o': sip_watcher_opened(w); break;
		case 'c': sip_watcher_closed(w); break;
		case 'r': sip_watcher_restored(w, piece.len > 1); break;
		case 'p':
			polls++;
			sip_watcher_poll(w);
			break;
		case 'd': sip_watcher_link(w, false); break;
		case 'u': sip_watcher_link(w, true); break;
		case 't': timers_run(&timers, timers.now + (piece.len > 1 ? 100000 : 1000)); break;
		}
		look();
		CHECK(sip_watcher_presence(w)->count <= PRESENCE_MAX_ITEMS);
	}
	w = sip_watcher_free(w);
	CHECK(timers.count == 0);
	timers_free(&timers);
	return 0;
}
