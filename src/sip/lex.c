/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/lex.h"

#include <arpa/inet.h>

/* clang-format off */
#define C SIP_C_CTL
#define L SIP_C_LWS
#define T SIP_C_TOKEN
#define H SIP_C_HOST
#define U (SIP_C_USER | SIP_C_URI)
#define R SIP_C_URI
#define A (SIP_C_TOKEN | SIP_C_HOST | SIP_C_USER | SIP_C_URI | SIP_C_ALPHA)
#define D (SIP_C_TOKEN | SIP_C_HOST | SIP_C_USER | SIP_C_URI | SIP_C_DIGIT)
const uint8_t sip_chars[256] = {
	[0 ... 8] = C, ['\t'] = L, ['\n'] = L | C, [11] = C, [12] = C, ['\r'] = L | C, [14 ... 31] = C, [' '] = L, [127] = C,
	['0' ... '9'] = D, ['A' ... 'Z'] = A, ['a' ... 'z'] = A,
	['-'] = T | H | U, ['.'] = T | H | U, ['_'] = T | H | U,
	['!'] = T | U, ['*'] = T | U, ['+'] = T | U, ['\''] = T | U, ['~'] = T | U,
	['%'] = T, ['`'] = T,
	['('] = U, [')'] = U, ['&'] = U, ['='] = U, ['$'] = U, [','] = U, [';'] = U, ['?'] = U, ['/'] = U, ['#'] = U, [':'] = U,
	['['] = R, [']'] = R, ['@'] = R,
};
#undef C
#undef L
#undef T
#undef H
#undef U
#undef R
#undef A
#undef D
/* clang-format on */

int sip_next_param(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	struct slice s = sip_skip_lws(*rest);
	if (!s.len)
		return 0;
	if (*s.p == ';')
		s = sip_skip_lws(slice_skip(s, 1));
	struct slice name = sip_take(&s, SIP_C_TOKEN), value = SLICE_NONE;
	if (!name.len)
		return -1;
	s = sip_skip_lws(s);
	if (s.len && *s.p == '=') {
		s = sip_skip_lws(slice_skip(s, 1));
		size_t n = 0;
		if (s.len && *s.p == '"') {
			if (!(n = sip_quoted_len(s)))
				return -1;
		} else {
			/* token or host; wider than the grammar, as peers put URIs and base64 here unquoted */
			while (n < s.len && s.p[n] != ';' && s.p[n] != ',' && s.p[n] != '"' &&
			       !sip_is(s.p[n], SIP_C_LWS | SIP_C_CTL))
				n++;
		}
		value = slice_first(s, n);
		s = sip_skip_lws(slice_skip(s, n));
	}
	if (s.len && *s.p != ';')
		return -1;
	*rest = s;
	*ret_name = name;
	*ret_value = value;
	return 1;
}

static bool ipv6_valid(struct slice s)
{
	char z[INET6_ADDRSTRLEN];
	struct in6_addr a;
	for (size_t i = 0; i < s.len; i++)
		if (!s.p[i]) /* inet_pton would stop there */
			return false;
	return s.len < sizeof z && slice_cstr(s, z, sizeof z) && inet_pton(AF_INET6, z, &a) == 1;
}

bool sip_take_hostport(struct slice *s, bool lws, struct slice *ret_host, uint16_t *ret_port)
{
	struct slice in = *s, host;
	if (in.len && *in.p == '[') {
		ptrdiff_t end = slice_find_chr(in, ']');
		if (end < 0 || !ipv6_valid(slice_of(in.p + 1, (size_t)end - 1)))
			return false;
		host = slice_first(in, (size_t)end + 1);
		in = slice_skip(in, host.len);
	} else {
		host = sip_take(&in, SIP_C_HOST);
	}
	if (!host.len)
		return false;
	uint64_t port = 0;
	struct slice after = lws ? sip_skip_lws(in) : in;
	if (after.len && *after.p == ':') {
		after = slice_skip(after, 1);
		if (lws)
			after = sip_skip_lws(after);
		if (!slice_u64(sip_take(&after, SIP_C_DIGIT), UINT16_MAX, &port) || port == 0)
			return false;
		in = after;
	}
	*ret_host = host;
	*ret_port = (uint16_t)port;
	*s = in;
	return true;
}
