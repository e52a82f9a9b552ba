/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/address.h"

#include "base/enc.h"

enum { PART_MAX = 1023 }; /* RFC 7622 3.1 */

/* One bit per place where an octet may stand unescaped (RFC 3261 25.1). */
enum { IN_USER = 1, IN_PARAM = 2 };

static const unsigned char char_class[256] = {
#define BOTH IN_USER | IN_PARAM
	['a' ... 'z'] = BOTH, ['A' ... 'Z'] = BOTH, ['0' ... '9'] = BOTH,
	['-'] = BOTH, ['_'] = BOTH, ['.'] = BOTH, ['!'] = BOTH, ['~'] = BOTH, ['*'] = BOTH, ['\''] = BOTH, ['('] = BOTH,
	[')'] = BOTH, ['&'] = BOTH, ['+'] = BOTH, ['$'] = BOTH, ['/'] = BOTH,
	['='] = IN_USER, [','] = IN_USER, [';'] = IN_USER, ['?'] = IN_USER,
	['['] = IN_PARAM, [']'] = IN_PARAM, [':'] = IN_PARAM,
#undef BOTH
};

/* The second half of the XEP-0106 code of an octet that a localpart may not hold raw, or NULL. The backslash is guarded by its
 * context only. */
static const char *xep0106_code(char c)
{
	switch (c) {
	case ' ': return "20";
	case '"': return "22";
	case '&': return "26";
	case '\'': return "27";
	case '/': return "2f";
	case ':': return "3a";
	case '<': return "3c";
	case '>': return "3e";
	case '@': return "40";
	}
	return NULL;
}

/* The octet that the two characters after a backslash stand for, or 0. Without case: the localpart is case-folded after escaping,
 * so "\2F" would become an escape sequence then. */
static char xep0106_decode(const char *two)
{
	int hi = hex_value(two[0]), lo = hex_value(two[1]);
	if (hi < 0 || lo < 0)
		return 0;
	char c = (char)(hi << 4 | lo);
	return c == '\\' || xep0106_code(c) ? c : 0;
}

/* Decodes %HH into dst (s.len octets at least). False on a cut or malformed escape. */
static bool percent_decode(struct slice s, char *dst, size_t *ret_len, bool *ret_ascii)
{
	size_t n = 0;
	unsigned char all = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (c == '%') {
			if (s.len - i < 3)
				return false;
			int hi = hex_value(s.p[i + 1]), lo = hex_value(s.p[i + 2]);
			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		all |= (unsigned char)c;
		dst[n++] = c;
	}
	*ret_len = n;
	*ret_ascii = all < 0x80;
	return true;
}

static bool has_control(struct slice s, bool ascii)
{
	if (!ascii)
		return utf8_has_control(s);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* XEP-0106 escaping into dst (3 * s.len octets at least), ASCII letters folded on the way. */
static size_t xep0106_escape(struct slice s, char *dst, size_t *ret_count)
{
	size_t n = 0, count = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		const char *code = c == '\\' ? (s.len - i >= 3 && xep0106_decode(s.p + i + 1) ? "5c" : NULL) : xep0106_code(c);
		if (code) {
			dst[n] = '\\';
			dst[n + 1] = code[0];
			dst[n + 2] = code[1];
			n += 3;
			count++;
		} else {
			dst[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		}
	}
	*ret_count = count;
	return n;
}

/* The reverse, into dst (s.len octets at least). False when escaping the result would not give s again ("\5c" that guards
 * nothing, outer "\20"): such a localpart would come back as another user. */
static bool xep0106_unescape(struct slice s, char *dst, size_t *ret_len, size_t *ret_count)
{
	size_t n = 0, count = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i], d = 0;
		if (c == '\\' && s.len - i >= 3)
			d = xep0106_decode(s.p + i + 1);
		if (d) {
			if (d == '\\' && (s.len - i < 5 || !xep0106_decode(s.p + i + 3)))
				return false;
			if (d == ' ' && (i == 0 || i + 3 == s.len))
				return false;
			count++;
			i += 2;
			c = d;
			if (d == '\\') { /* what it guards is literal */
				dst[n++] = c;
				dst[n++] = s.p[++i];
				c = s.p[++i];
			}
		}
		dst[n++] = c;
	}
	*ret_len = n;
	*ret_count = count;
	return true;
}

static int impossible(struct entente_err *err, struct slice what, const char *why)
{
	return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_IMPOSSIBLE, "%.*s cannot be an XMPP address: %s",
		       (int)(what.len > 120 ? 120 : what.len), what.p ? what.p : "", why);
}

static int too_long(struct entente_err *err)
{
	return err_set(err, ENTENTE_ELIMIT, REASON_ADDRESS_TOO_LONG, "a part of the address is longer than %d octets", PART_MAX);
}

static int malformed(struct entente_err *err, const char *why)
{
	return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_MALFORMED, "%s", why);
}

/* Userinfo -> escaped localpart, not prepared when it is not ASCII. */
static int local_of_user(struct slice *ret, bool *ret_ascii, size_t *ret_count, struct arena *a, struct slice user,
			 struct slice raw, struct entente_err *err)
{
	if (user.len == 0)
		return malformed(err, "the user part is empty");
	if (user.len > 3 * PART_MAX)
		return too_long(err);
	char *text = arena_bytes(a, user.len);
	size_t len, n;
	bool ascii;
	if (!text)
		return too_long(err);
	if (!percent_decode(user, text, &len, &ascii))
		return malformed(err, "a percent escape in the user part is cut or not hexadecimal");
	struct slice plain = slice_of(text, len);
	if (!ascii && !utf8_valid(plain))
		return malformed(err, "the user part is not UTF-8");
	if (has_control(plain, ascii))
		return malformed(err, "the user part holds a control character");
	if (text[0] == ' ' || text[len - 1] == ' ')
		return impossible(err, raw, "the user part begins or ends with a space");
	char *local = arena_bytes(a, 3 * len);
	if (!local)
		return too_long(err);
	n = xep0106_escape(plain, local, ret_count);
	if (n > PART_MAX)
		return too_long(err);
	*ret = slice_of(local, n);
	*ret_ascii = ascii;
	return 0;
}

/* The number in telephone-subscriber (RFC 3966 3): digits, with a leading "+" or not, separators dropped, parameters off. */
static int local_of_phone(struct slice *ret, struct arena *a, struct slice user, struct entente_err *err)
{
	struct slice number = slice_split(&user, ';');
	if (number.len > PART_MAX)
		return too_long(err);
	char *text = arena_bytes(a, number.len + 1);
	size_t len, n = 0, digits = 0;
	bool ascii;
	if (!text)
		return too_long(err);
	if (!percent_decode(number, text, &len, &ascii))
		return malformed(err, "a percent escape in the telephone number is cut or not hexadecimal");
	if (has_control(slice_of(text, len), ascii))
		return malformed(err, "the telephone number holds a control character");
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '-' || c == '.' || c == '(' || c == ')' || c == ' ')
			continue;
		bool digit = c >= '0' && c <= '9';
		if (!digit && c != '*' && c != '#' && !(c == '+' && n == 0)) {
			digits = 0;
			break;
		}
		digits += digit;
		text[n++] = c;
	}
	if (!digits)
		return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_NO_DIGITS,
			       "user=phone, but the user part is not a telephone number");
	*ret = slice_of(text, n);
	return 0;
}

/* Dotted numbers are addresses, not names; no top-level domain is all digits (RFC 3696 2). */
static bool is_ip_literal(struct slice host)
{
	if (host.len && host.p[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || host.p[0] == '[' || slice_find_chr(host, ':') >= 0)
		return true;
	for (size_t i = host.len; i > 0 && host.p[i - 1] != '.'; i--)
		if (host.p[i - 1] < '0' || host.p[i - 1] > '9')
			return false;
	return true;
}

/* A raw `gr` value -> text that may become a resource; empty when it cannot. */
static struct slice instance_decode(struct arena *a, struct slice raw)
{
	if (raw.len == 0 || raw.len > 3 * PART_MAX)
		return SLICE_NONE;
	char *text = arena_bytes(a, raw.len);
	size_t len;
	bool ascii;
	if (!text || !percent_decode(raw, text, &len, &ascii) || len > PART_MAX)
		return SLICE_NONE;
	struct slice s = slice_of(text, len);
	return (ascii || utf8_valid(s)) && !has_control(s, ascii) ? s : SLICE_NONE;
}

/* `gr=x` (RFC 5627; a valueless `gr` marks a temporary GRUU, which must not be mapped) or Lync's `opaque=user:epid:x;gruu`. */
static struct slice uri_instance(struct arena *a, const struct sip_uri *u)
{
	struct slice v;
	if (u->params.len == 0)
		return SLICE_NONE;
	if (sip_uri_param(u, S("gr"), &v))
		return instance_decode(a, v);
	if (sip_uri_param(u, S("gruu"), NULL) && sip_uri_param(u, S("opaque"), &v)) {
		struct slice s = instance_decode(a, v);
		if (slice_istarts(s, S("user:epid:")))
			return slice_skip(s, sizeof "user:epid:" - 1);
	}
	return SLICE_NONE;
}

/* Joins and prepares the parts. `count` escape sequences were written into `local`. */
static int jid_make(struct xmpp_jid *ret, struct arena *a, struct slice local, bool ascii, size_t count, struct slice host,
		    struct slice resource, struct slice raw, struct entente_err *err)
{
	struct xmpp_jid j;
	if (is_ip_literal(host))
		return impossible(err, raw, "the host is an IP address");
	int r = xmpp_jid_make(&j, a, local, host, resource);
	if (r && resource.len) /* an instance that cannot be a resource is forgotten, the user is still reachable */
		r = xmpp_jid_make(&j, a, local, host, SLICE_NONE);
	if (r == ENTENTE_ELIMIT)
		return too_long(err);
	if (r)
		return impossible(err, raw, "the user or the host holds characters that XMPP does not allow");
	if (!ascii) {
		/* Width mapping and composition can make or break an escape sequence; two users must not meet in one JID. */
		char *back = arena_bytes(a, j.local.len + 1);
		size_t len, found;
		if (!back)
			return too_long(err);
		if (!xep0106_unescape(j.local, back, &len, &found) || found != count)
			return impossible(err, raw, "the user part is ambiguous after normalisation");
	}
	*ret = j;
	return 0;
}

static int sip_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_uri *u, const struct slice *instance,
		      struct entente_err *err)
{
	struct slice local = SLICE_NONE, value;
	bool ascii = true;
	size_t count = 0;
	int r = 0;

	switch (u->scheme) {
	case SIP_SCHEME_SIP:
	case SIP_SCHEME_IM:
	case SIP_SCHEME_PRES:
		break;
	case SIP_SCHEME_SIPS:
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_ADDRESS_SIPS, "sips addresses are not translated");
	default:
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_ADDRESS_SCHEME, "the scheme %.*s is not supported",
			       (int)(u->scheme_text.len > 32 ? 32 : u->scheme_text.len),
			       u->scheme_text.p ? u->scheme_text.p : "");
	}
	if (u->user.p) {
		if (u->params.len && sip_uri_param(u, S("user"), &value) && slice_ieq(value, S("phone")))
			r = local_of_phone(&local, a, u->user, err);
		else
			r = local_of_user(&local, &ascii, &count, a, u->user, u->raw, err);
		if (r)
			return r;
	}
	struct slice resource = instance ? *instance : uri_instance(a, u);
	return jid_make(ret, a, local, ascii, count, u->host, resource, u->raw, err);
}

int interwork_sip_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_uri *u, struct entente_err *err)
{
	return sip_to_jid(ret, a, u, NULL, err);
}

bool interwork_sip_local(struct slice *ret, struct arena *a, const struct sip_uri *u)
{
	struct sip_uri same = *u;
	struct xmpp_jid j;
	if (same.scheme == SIP_SCHEME_SIPS)
		same.scheme = SIP_SCHEME_SIP;
	int r = sip_to_jid(&j, a, &same, &SLICE_NONE, NULL);
	if (r && same.params.len) {
		same.params = SLICE_NONE;
		r = sip_to_jid(&j, a, &same, &SLICE_NONE, NULL);
	}
	if (r || !j.local.len)
		return false;
	*ret = j.local;
	return true;
}

int interwork_uri_to_jid(struct xmpp_jid *ret, struct arena *a, struct slice uri, struct entente_err *err)
{
	struct sip_uri u;
	if (sip_uri_parse(uri, &u) != 0)
		return malformed(err, "the SIP URI is malformed");
	return sip_to_jid(ret, a, &u, NULL, err);
}

int interwork_tel_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_uri *u, struct slice tel_domain,
			 struct entente_err *err)
{
	struct slice local;
	if (u->scheme != SIP_SCHEME_TEL || tel_domain.len == 0)
		return err_set(err, ENTENTE_EUNSUPPORTED, REASON_ADDRESS_SCHEME, "telephone URIs are not supported");
	int r = local_of_phone(&local, a, u->opaque, err);
	return r ? r : jid_make(ret, a, local, true, 0, tel_domain, SLICE_NONE, u->raw, err);
}

struct slice interwork_sender_instance(struct arena *a, const struct sip_msg *m)
{
	struct slice s = uri_instance(a, &m->from.uri), v;
	struct sip_values it = {0};
	struct sip_addr contact;
	if (s.len)
		return s;
	if (sip_msg_next_value(m, SIP_H_CONTACT, &it, &v) && sip_addr_parse(v, &contact) == 0 && !contact.star) {
		s = uri_instance(a, &contact.uri);
		if (s.len == 0 && contact.params.len && sip_param(contact.params, S("gr"), &v))
			s = instance_decode(a, v);
		if (s.len)
			return s;
	}
	if (m->from.params.len && sip_param(m->from.params, S("epid"), &v))
		return instance_decode(a, v);
	return SLICE_NONE;
}

int interwork_sender_to_jid(struct xmpp_jid *ret, struct arena *a, const struct sip_msg *m, struct entente_err *err)
{
	struct slice instance = interwork_sender_instance(a, m);
	return sip_to_jid(ret, a, &m->from.uri, &instance, err);
}

static char *percent_encode(char *dst, struct slice s, unsigned char place)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (char_class[c] & place) {
			*dst++ = (char)c;
		} else {
			*dst++ = '%';
			*dst++ = hex[c >> 4];
			*dst++ = hex[c & 15];
		}
	}
	return dst;
}

int interwork_jid_to_sip(struct slice *ret, struct arena *a, const struct xmpp_jid *j, bool with_gr, struct entente_err *err)
{
	struct slice host, user = SLICE_NONE, resource = with_gr ? j->resource : SLICE_NONE;
	size_t count;
	int r = xmpp_domain_ascii(a, j->domain, &host);
	if (r == ENTENTE_ELIMIT)
		return too_long(err);
	if (r)
		return malformed(err, "the domain has no form that DNS knows");
	if (j->local.len) {
		char *text = arena_bytes(a, j->local.len);
		if (!text)
			return too_long(err);
		if (!xep0106_unescape(j->local, text, &user.len, &count))
			return malformed(err, "the localpart holds an escape sequence that no address produces");
		user.p = text;
	}
	char *uri = arena_bytes(a, sizeof "sip:@;gr=" + 3 * user.len + host.len + 3 * resource.len);
	if (!uri)
		return too_long(err);
	char *p = uri;
	p = (char *)mempcpy(p, "sip:", 4);
	if (user.len) {
		p = percent_encode(p, user, IN_USER);
		*p++ = '@';
	}
	p = (char *)mempcpy(p, host.p, host.len);
	if (resource.len) {
		p = (char *)mempcpy(p, ";gr=", 4);
		p = percent_encode(p, resource, IN_PARAM);
	}
	*p = '\0';
	*ret = slice_of(uri, (size_t)(p - uri));
	return 0;
}
