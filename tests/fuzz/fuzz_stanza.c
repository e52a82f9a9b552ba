/* SPDX-License-Identifier: Apache-2.0 */
/* One stanza, as a proven partner may send it: read, answered with a result, an error and by the service (discovery, ping, vCard ...); each answer goes
 * back to the sender with the same id, reads back as what it was meant to be, and is never answered itself. The first octet chooses error and contact. */
#include "fuzz.h"
#include "xmpp/error.h"
#include "xmpp/service.h"
#include "xmpp/stanza.h"

static const char *const conditions[] = {"bad-request", "item-not-found", "gone", "service-unavailable", "remote-server-timeout", "not-acceptable", "no-such-condition"};
static const char *const types[] = {"", "cancel", "wait", "modify", "auth"};

/* Over the wire and back. */
static struct xml_node *sent(struct arena *a, const struct xml_node *n)
{
	struct xml_node *back;
	struct buf b;
	buf_init(&b, 4 << 20);
	xml_write(&b, n, SLICE_NONE);
	struct slice text = arena_dup(a, buf_slice(&b));
	MUST(buf_ok(&b) && text.p);
	static const struct xml_limits any = {.max_bytes = 4 << 20, .max_depth = 200, .max_attrs = 200, .max_children = 1 << 16};
	MUST(xml_parse(&back, a, text, &any, NULL) == 0);
	buf_free(&b);
	return back;
}

static bool same(struct slice a, struct slice b)
{
	return slice_eq(a, b) && !a.p == !b.p;
}

static void returns(const struct xml_node *answer, const struct xml_node *n, enum stanza_type type)
{
	MUST(same(stanza_to(answer), stanza_from(n)) && same(stanza_from(answer), stanza_to(n)) && same(stanza_id(answer), stanza_id(n)));
	MUST(stanza_type(answer) == type && stanza_kind(answer) == stanza_kind(n) && stanza_final(answer));
}

static void service(struct arena *a, const struct xml_node *n, const struct stanza *s, uint8_t how)
{
	static const struct slice abuse[] = {{"xmpp:abuse@a.example", 20}};
	struct xmpp_service svc = {.name = S("Entente"), .version = S("1"), .url = S("https://x.example"), .contact = how >> 5, .abuse = abuse, .n_abuse = 1};
	struct xmpp_service_contact contact = {.visible = how & 1, .name = S("Romeo <&>"), .email = how & 2 ? S("r@a.example") : SLICE_NONE};
	xmpp_service_init(&svc);
	struct xml_node *answer = xmpp_service_answer(&svc, a, n, &s->to, &contact);
	MUST(!answer == stanza_final(n));
	if (!answer)
		return;
	answer = sent(a, answer);
	returns(answer, n, stanza_type(answer));
	MUST(stanza_type(answer) == STANZA_TYPE_RESULT || stanza_type(answer) == STANZA_TYPE_ERROR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct xml_node *n, *answer;
	struct xmpp_error e;
	struct stanza s;
	int64_t ms, again;
	if (!size || size > 16384)
		return 0;
	if (!a)
		a = arena_new(32 << 20);
	arena_reset(a);
	uint8_t how = data[0];
	if (stanza_time_parse(slice_of((const char *)data + 1, size - 1), &ms)) {
		struct slice text = stanza_time_format(a, ms);
		MUST(stanza_time_parse(text, &again) && again == ms);
	}
	if (xml_parse(&n, a, slice_of((const char *)data + 1, size - 1), &xml_limits_default, NULL))
		return 0;
	stanza_read(&s, a, n);
	MUST(s.kind == stanza_kind(n));
	if (s.kind == STANZA_NONE)
		return 0;
	MUST(!s.from_rc == !!s.from.full.p && !s.to_rc == !!s.to.full.p);
	struct slice condition = slice_str(conditions[how % 7]), type = slice_str(types[how / 7 % 5]);
	answer = xmpp_error_reply(a, n, type, condition, S("why <not>"), SLICE_NONE);
	MUST(!answer == stanza_final(n));
	if (answer) {
		answer = sent(a, answer);
		returns(answer, n, STANZA_TYPE_ERROR);
		xmpp_error_read(a, answer, &e);
		MUST(slice_eq(e.condition, xmpp_condition_known(condition) ? condition : S("undefined-condition")) && slice_eq(e.text, S("why <not>")) && e.type.len);
	}
	xmpp_error_read(a, n, &e);
	MUST(e.condition.len && xmpp_condition_known(e.condition));
	answer = stanza_result(a, n);
	MUST(!answer == !(s.kind == STANZA_IQ && (s.type == STANZA_TYPE_GET || s.type == STANZA_TYPE_SET)));
	if (answer)
		returns(sent(a, answer), n, STANZA_TYPE_RESULT);
	if (stanza_delay_read(n, &ms)) {
		struct xml_node *copy = xml_copy(a, n);
		stanza_delay_add(a, copy, ms - 1000 > 0 ? ms - 1000 : 0, S("a.example"));
		MUST(stanza_delay_read(sent(a, copy), &again) && again == (ms - 1000 > 0 ? ms - 1000 : 0));
	}
	if (s.to.full.p && s.kind == STANZA_IQ)
		service(a, n, &s, how);
	return 0;
}
