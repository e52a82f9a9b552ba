/* SPDX-License-Identifier: Apache-2.0 */
/* Record data as it came over the network into plain structs. libunbound has checked the packet, not what the zone's owner
 * put in. */
#include "base/mem.h"
#include "net/dns_int.h"

static bool take16(struct slice *s, uint16_t *ret)
{
	if (s->len < 2)
		return false;
	*ret = (uint16_t)((uint8_t)s->p[0] << 8 | (uint8_t)s->p[1]);
	*s = slice_skip(*s, 2);
	return true;
}

static bool name_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* An uncompressed name that ends the data. */
static bool take_name(struct slice s, struct arena *a, struct slice *ret)
{
	char text[DNS_NAME_MAX + 1];
	size_t n = 0;
	for (;;) {
		if (!s.len)
			return false;
		size_t label = (uint8_t)s.p[0];
		s = slice_skip(s, 1);
		if (label == 0)
			break;
		if (label > 63 || label > s.len || n + label + (n ? 1 : 0) > DNS_NAME_MAX)
			return false;
		if (n)
			text[n++] = '.';
		for (size_t i = 0; i < label; i++) {
			if (!name_octet(s.p[i]))
				return false;
			text[n++] = lower(s.p[i]);
		}
		s = slice_skip(s, label);
	}
	if (s.len)
		return false;
	*ret = arena_dup(a, slice_of(text, n));
	return ret->p != NULL;
}

static bool take_text(struct slice *s, struct arena *a, struct slice *ret)
{
	if (!s->len || (size_t)(uint8_t)s->p[0] + 1 > s->len)
		return false;
	size_t n = (uint8_t)s->p[0];
	struct slice text = slice_of(s->p + 1, n);
	for (size_t i = 0; i < n; i++)
		if (text.p[i] < 0x20 || text.p[i] > 0x7e)
			return false;
	*s = slice_skip(*s, n + 1);
	*ret = arena_dup(a, text);
	return ret->p != NULL;
}

bool dns_parse(enum dns_type type, struct slice data, struct arena *a, struct dns_record *ret)
{
	struct dns_record r = {.type = type};
	bool ok = false;
	switch (type) {
	case DNS_A:
		ok = data.len == 4 && addr_from_octets(data, 0, &r.addr);
		break;
	case DNS_AAAA:
		ok = data.len == 16 && addr_from_octets(data, 0, &r.addr);
		break;
	case DNS_SRV:
		ok = take16(&data, &r.srv.priority) && take16(&data, &r.srv.weight) && take16(&data, &r.srv.port) &&
			take_name(data, a, &r.srv.target);
		break;
	case DNS_NAPTR:
		ok = take16(&data, &r.naptr.order) && take16(&data, &r.naptr.preference) && take_text(&data, a, &r.naptr.flags) &&
			take_text(&data, a, &r.naptr.service) && take_text(&data, a, &r.naptr.regexp) &&
			take_name(data, a, &r.naptr.replacement);
		break;
	case DNS_TLSA:
		if (data.len > 3) {
			r.tlsa.usage = (uint8_t)data.p[0];
			r.tlsa.selector = (uint8_t)data.p[1];
			r.tlsa.matching = (uint8_t)data.p[2];
			r.tlsa.data = arena_dup(a, slice_skip(data, 3));
			ok = r.tlsa.data.p != NULL;
		}
		break;
	}
	if (ok)
		*ret = r;
	return ok;
}

bool dns_name_clean(struct slice name, char dst[DNS_NAME_MAX + 2])
{
	size_t label = 0;
	if (name.len && name.p[name.len - 1] == '.')
		name.len--;
	if (!name.len || name.len > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '.') {
			if (!label)
				return false;
			label = 0;
		} else if (!name_octet(name.p[i]) || ++label > 63) {
			return false;
		}
		dst[i] = lower(name.p[i]);
	}
	dst[name.len] = '.'; /* absolute: resolv.conf's search list must not answer */
	dst[name.len + 1] = 0;
	return label > 0;
}

unsigned dns_count_type(struct slice packet, unsigned type)
{
	enum { HEADER = 12, QUESTION_TAIL = 4, RECORD_TAIL = 10 };
	const uint8_t *p = (const uint8_t *)packet.p;
	size_t len = packet.len;
	size_t at = HEADER;
	unsigned n = 0, questions, answers;
	if (!p || len < HEADER)
		return 0;
	questions = (unsigned)p[4] << 8 | p[5];
	answers = (unsigned)p[6] << 8 | p[7];
	for (unsigned i = 0; i < questions + answers; i++) {
		while (at < len && p[at] && p[at] < 0xc0)
			at += p[at] + 1u;
		at += at < len && p[at] ? 2 : 1; /* a pointer, or the root */
		if (i < questions) {
			at += QUESTION_TAIL;
			continue;
		}
		if (at + RECORD_TAIL > len)
			break;
		n += ((unsigned)p[at] << 8 | p[at + 1]) == type;
		at += RECORD_TAIL + ((size_t)p[at + 8] << 8 | p[at + 9]);
	}
	return n;
}
