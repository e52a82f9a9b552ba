/* SPDX-License-Identifier: Apache-2.0 */
/* What a body says that is no text: bare, in CPIM, in parts, compressed as linphone does; and what only looks like it. */
#include "parse.h"

#include <zlib.h>
#include "interwork/signal.h"

#define DELIVERED(id)                                                                                                                    \
	"<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>" id "</message-id><delivery-notification><status><delivered/></status>" \
	"</delivery-notification></imdn>"
#define DISPLAYED(id)                                                                                                                    \
	"<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>" id "</message-id><display-notification><status><displayed/></status>" \
	"</display-notification></imdn>"
#define TYPING "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state><refresh>60</refresh></isComposing>"
#define CPIM(from) "From: <" from ">\r\nTo: <sip:juliet@x.example>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: n1\r\n" \
	"imdn.Disposition-Notification: positive-delivery, display\r\n\r\n"
#define NOTE "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"

static struct arena *arena;
static struct entente_err err;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static int see(struct signal *ret, const char *type, const char *encoding, struct slice body)
{
	struct xmpp_jid from = parse_jid(arena, "romeo@example.net");
	struct signal_body b = {.type = slice_str(type), .encoding = slice_str(encoding), .body = body, .from = &from};
	err = (struct entente_err){0};
	return signal_read(ret, arena, &b, &err);
}

static struct slice deflated(struct slice text)
{
	uLongf n = compressBound((uLong)text.len);
	char *out = arena_bytes(arena, n);
	assert_int_equal(compress((Bytef *)out, &n, (const Bytef *)text.p, (uLong)text.len), Z_OK);
	return slice_of(out, n);
}

/* "none", "typing 60r", "idle", "imdn m1:delivery/delivered ...", "lync 1 2"; "+cpim asks=5 id=n1" */
static const char *shown(const struct signal *s)
{
	static char text[1024];
	size_t n = 0;
	static const char *const kinds[] = {"none", "typing", "imdn", "lync"};
	n += (size_t)snprintf(text + n, sizeof text - n, "%s", s->kind == SIGNAL_TYPING && !s->typing ? "idle" : kinds[s->kind]);
	if (s->kind == SIGNAL_TYPING && s->typing)
		n += (size_t)snprintf(text + n, sizeof text - n, " %u%s", s->holds, s->refreshed ? "r" : "");
	for (size_t i = 0; i < s->n && s->kind == SIGNAL_IMDN; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, " %.*s:%.*s/%.*s", SFMT(s->notices[i].message_id),
				      SFMT(imdn_kind_name(s->notices[i].kind)), SFMT(imdn_status_name(s->notices[i].status)));
	for (size_t i = 0; i < s->n && s->kind == SIGNAL_LYNC_FAILURE; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, " %.*s", SFMT(s->ids[i]));
	if (s->cpim)
		n += (size_t)snprintf(text + n, sizeof text - n, " +cpim");
	if (s->request.asks)
		n += (size_t)snprintf(text + n, sizeof text - n, " asks=%u id=%.*s", s->request.asks, SFMT(s->request.message_id));
	return text;
}

static void understood(void **state)
{
	static const struct {
		const char *type, *body, *want;
	} rows[] = {
		{"application/im-iscomposing+xml", TYPING, "typing 60r"},
		{"Application/IM-IsComposing+XML; charset=UTF-8", TYPING, "typing 60r"},
		{"application/im-iscomposing+xml", "<isComposing><state>idle</state></isComposing>", "idle"},
		{"application/xml", "<KeyboardActivity><status status='type'/></KeyboardActivity>", "typing 10"},
		{"application/xml", "<KeyboardActivity><status status='idle'/></KeyboardActivity>", "idle"},
		{"application/xml", "<media_control/>", "none"},
		{"application/xml", "not even XML", "none"},
		{"text/x-msmsgscontrol", "MIME-Version: 1.0\r\nTypingUser: a@b\r\n\r\n", "typing 10"},
		{"message/imdn+xml", DELIVERED("m1"), "imdn m1:delivery/delivered"},
		{"application/ms-imdn+xml", "<imdn><message-id>1</message-id></imdn>", "lync 1"},
		{"message/cpim", CPIM("sip:romeo@example.net") NOTE DELIVERED("m1"), "imdn m1:delivery/delivered +cpim"},
		{"message/cpim", CPIM("im:Romeo@Example.net") NOTE DISPLAYED("m1"), "imdn m1:display/displayed +cpim"},
		{"message/cpim", "To: <sip:x@y>\r\n\r\n" NOTE DELIVERED("m1"), "imdn m1:delivery/delivered +cpim"}, /* nobody is named */
		{"message/cpim", CPIM("sip:romeo@example.net") "Content-Type: application/im-iscomposing+xml\r\n\r\n" TYPING, "typing 60r +cpim"},
		{"message/cpim", CPIM("sip:romeo@example.net") "Content-Type: text/plain\r\n\r\nhello", "none +cpim asks=5 id=n1"},
		{"multipart/mixed;boundary=b", "--b\r\n" NOTE DELIVERED("m1") "\r\n--b\r\n" NOTE DISPLAYED("m0") "\r\n--b--\r\n",
		 "imdn m1:delivery/delivered m0:display/displayed"},
		{"message/cpim", CPIM("sip:romeo@example.net") "Content-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\n" NOTE DELIVERED("m1") "\r\n--b--\r\n",
		 "imdn m1:delivery/delivered +cpim"},
		/* left to those who look for texts */
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\n" NOTE DELIVERED("m1") "\r\n--b--\r\n", "none"},
		{"multipart/alternative;boundary=b", "--b\r\n" NOTE DELIVERED("m1") "\r\n--b--\r\n", "none"},
		{"multipart/mixed", "--b\r\n" NOTE DELIVERED("m1") "\r\n--b--\r\n", "none"},
		{"message/cpim", "no empty line", "none"},
		{"text/plain", DELIVERED("m1"), "none"},
		{"", "hello", "none"},
		{"text/html", TYPING, "none"},
	};
	struct signal s;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (see(&s, rows[i].type, "", slice_str(rows[i].body)))
			fail_msg("%s for %s\n%s", err.text, rows[i].type, rows[i].body);
		if (strcmp(shown(&s), rows[i].want))
			fail_msg("%s\n instead of %s\n for %s\n%s", shown(&s), rows[i].want, rows[i].type, rows[i].body);
	}
}

static void compressed(void **state)
{
	struct signal s;
	(void)state;
	/* octets as zlib makes them, so that both ends of our own are not wrong in the same way */
	static const char doc[] = "\x78\x9c\x75\x8e\xc1\x0a\xc2\x30\x10\x44\x7f\xa5\xe4\x1e\xd3\xf4\x20\x12\xb6\xf1\xe6\x17\xd4\x83\xde\x42\xb3\x2d\x0b\xcd\x56\xba\xa9\xe8\xdf\x9b\x1e\x2c\x5e\x84\x39\xbd\x99\x81\x07\xe7\x57\x9a\xaa\x27\x2e\x42\x33\xb7\xca\x1e\x6a\x55\x21\xf7\x73\x24\x1e\x5b\x75\xed\x2e\xfa\xa4\xce\x1e\x28\x45\xae\xca\x92\xa5\x55\xeb\xc2\x8e\x30\x0f\xee\x11\x96\x90\xc4\x15\xec\x58\xdc\x36\x51\x1e\x12\x8a\x84\x11\x35\x45\x9f\x6e\x36\x82\xf9\x01\x10\x43\xc6\x4c\x09\x7d\x53\x37\x47\x6d\xad\x6e\x6c\x67\x6b\x57\x6f\xb9\x83\xd9\x6b\x88\x38\x51\x91\x7a\x6b\x9e\x33\x0d\xd4\x87\x5c\xf4\x3c\x48\x0e\x79\x95\xbd\xc6\x68\x3c\x98\x2f\x34\x7f\x4e\x66\x33\xf3\x1f\x0d\xc3\x50\xbf";
	assert_int_equal(see(&s, "message/imdn+xml", "deflate", slice_of(doc, sizeof doc - 1)), 0);
	assert_string_equal(shown(&s), "imdn mY1d:delivery/delivered");
	assert_int_equal(see(&s, "message/imdn+xml", "deflate", deflated(S(DELIVERED("m1")))), 0);
	assert_string_equal(shown(&s), "imdn m1:delivery/delivered");
	assert_int_equal(see(&s, "application/im-iscomposing+xml", "identity, deflate", deflated(S(TYPING))), 0);
	assert_string_equal(shown(&s), "typing 60r");
	assert_int_equal(see(&s, "message/imdn+xml", "deflate, deflate", deflated(deflated(S(DELIVERED("m1"))))), 0);
	assert_string_equal(shown(&s), "imdn m1:delivery/delivered");
	assert_int_equal(see(&s, "message/cpim", "deflate", deflated(S(CPIM("sip:romeo@example.net") NOTE DELIVERED("m1")))), 0);
	assert_string_equal(shown(&s), "imdn m1:delivery/delivered +cpim");
	/* inside CPIM the encoding stands there */
	struct slice inner = ARENA_JOIN(arena, S(CPIM("sip:romeo@example.net") "Content-Type: message/imdn+xml\r\nContent-Encoding: deflate\r\n\r\n"),
					deflated(S(DELIVERED("m1"))));
	assert_int_equal(see(&s, "message/cpim", "", inner), 0);
	assert_string_equal(shown(&s), "imdn m1:delivery/delivered +cpim");
	inner = S(CPIM("sip:romeo@example.net") "Content-Type: message/imdn+xml\r\nContent-Transfer-Encoding: base64\r\n\r\nPGltZG4geG1sbnM9J3VybjppZXRmOnBhcmFtczp4bWw6bnM6aW1kbic+PG1l"
		  "c3NhZ2UtaWQ+bTE8L21lc3NhZ2UtaWQ+PGRlbGl2ZXJ5LW5vdGlmaWNhdGlvbj48c3RhdHVzPjxkZWxpdmVyZWQvPjwvc3RhdHVzPjwvZGVsaXZlcnktbm90aWZpY2F0aW9uPjwvaW1kbj4=");
	assert_int_equal(see(&s, "message/cpim", "", inner), 0);
	assert_string_equal(shown(&s), "imdn m1:delivery/delivered +cpim");
}

static void assert_refused(const char *type, const char *encoding, struct slice body, enum reason reason, enum signal_kind kind)
{
	struct signal s;
	if (see(&s, type, encoding, body) == 0)
		fail_msg("read as %s: %s %s", shown(&s), type, encoding);
	if (err.reason != reason || s.kind != kind)
		fail_msg("%s instead of %s (%s), kind %d, for %s %s", reason_info(err.reason)->id, reason_info(reason)->id, err.text, s.kind, type, encoding);
}

/* Each is known as a signal, so that it cannot become a text. */
static void refused(void **state)
{
	(void)state;
	char *zeros = arena_alloc(arena, 1 << 20);
	struct slice cut = deflated(S(DELIVERED("m1")));
	assert_refused("message/imdn+xml", "br", S("x"), REASON_CONTENT_TYPE, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "deflate", S(DELIVERED("m1")), REASON_CONTENT_MALFORMED, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "deflate", slice_first(cut, cut.len - 3), REASON_CONTENT_MALFORMED, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "deflate", deflated(slice_of(zeros, 1 << 20)), REASON_CONTENT_TOO_LARGE, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "deflate,deflate,deflate,deflate", S("x"), REASON_CONTENT_TYPE, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "", cut, REASON_CONTENT_MALFORMED, SIGNAL_IMDN);
	assert_refused("message/imdn+xml", "", S("<imdn/>"), REASON_CONTENT_MALFORMED, SIGNAL_IMDN);
	assert_refused("application/im-iscomposing+xml", "", S("<a/>"), REASON_CONTENT_MALFORMED, SIGNAL_TYPING);
	assert_refused("application/ms-imdn+xml", "", S("<a/>"), REASON_CONTENT_MALFORMED, SIGNAL_LYNC_FAILURE);
	/* forged */
	assert_refused("message/cpim", "", S(CPIM("sip:mallory@example.net") NOTE DELIVERED("m1")), REASON_CONTENT_IDENTITY, SIGNAL_IMDN);
	assert_refused("message/cpim", "", S("From: <sip:romeo@example.net>\r\n" CPIM("sip:romeo@example.net") NOTE DELIVERED("m1")), REASON_CONTENT_IDENTITY,
		       SIGNAL_IMDN);
	assert_refused("message/cpim", "", S(CPIM("tel:+1") NOTE DELIVERED("m1")), REASON_CONTENT_IDENTITY, SIGNAL_IMDN);
	assert_refused("message/cpim", "", S(CPIM("sip:romeo@example.net") "Content-Type: message/imdn+xml\r\nContent-Encoding: br\r\n\r\nx"), REASON_CONTENT_TYPE,
		       SIGNAL_IMDN);
}

static void many(void **state)
{
	struct signal s;
	struct buf b;
	(void)state;
	buf_init(&b, 65536);
	for (int n = 0; n < SIGNAL_MAX_NOTICES; n++)
		buf_puts(&b, "--b\r\n" NOTE DELIVERED("m") "\r\n");
	assert_int_equal(see(&s, "multipart/mixed;boundary=b", "", ARENA_JOIN(arena, buf_slice(&b), S("--b--\r\n"))), 0);
	assert_int_equal(s.n, SIGNAL_MAX_NOTICES);
	buf_puts(&b, "--b\r\n" NOTE DELIVERED("m") "\r\n--b--\r\n");
	assert_int_equal(see(&s, "multipart/mixed;boundary=b", "", arena_dup(arena, buf_slice(&b))), ENTENTE_ELIMIT);
	buf_free(&b);
	/* CPIM in CPIM in CPIM is looked at once */
	assert_int_equal(see(&s, "message/cpim", "", S(CPIM("sip:romeo@example.net") "Content-Type: message/cpim\r\n\r\n" CPIM("sip:romeo@example.net") NOTE
						      DELIVERED("m1"))), 0);
	assert_int_equal(s.kind, SIGNAL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(understood, setup, teardown), cmocka_unit_test_setup_teardown(compressed, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown), cmocka_unit_test_setup_teardown(many, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
