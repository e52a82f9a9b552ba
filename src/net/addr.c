/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

bool addr_from_octets(struct slice o, uint16_t port, struct addr *ret)
{
	struct addr a;
	memset(&a, 0, sizeof a);
	if (o.len == 4) {
		a.v4.sin_family = AF_INET;
		memcpy(&a.v4.sin_addr, o.p, 4);
	} else if (o.len == 16) {
		a.v6.sin6_family = AF_INET6;
		memcpy(&a.v6.sin6_addr, o.p, 16);
		if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr))
			return addr_from_octets(slice_of(o.p + 12, 4), port, ret);
	} else {
		return false;
	}
	addr_set_port(&a, port);
	*ret = a;
	return true;
}

bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret)
{
	struct addr a;
	if (sa->sa_family == AF_INET) {
		memset(&a, 0, sizeof a);
		memcpy(&a.v4, sa, sizeof a.v4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&a.v6, sa, sizeof a.v6);
		if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr))
			return addr_from_octets(slice_of((const char *)&a.v6.sin6_addr + 12, 4), ntohs(a.v6.sin6_port), ret);
	} else {
		return false;
	}
	*ret = a;
	return true;
}

/* The literal alone, with an optional %scope for IPv6. */
static bool parse_host(struct slice host, struct addr *ret)
{
	char z[INET6_ADDRSTRLEN + 1];
	struct slice rest = host;
	bool scoped = slice_find_chr(host, '%') >= 0;
	struct slice ip = slice_split(&rest, '%');
	unsigned char o[16];
	if (!slice_cstr(ip, z, sizeof z) || memchr(z, 0, ip.len + 1) != z + ip.len)
		return false;
	if (!scoped && inet_pton(AF_INET, z, o) == 1)
		return addr_from_octets(slice_of((char *)o, 4), 0, ret);
	if (inet_pton(AF_INET6, z, o) != 1)
		return false;
	struct addr a;
	if (!addr_from_octets(slice_of((char *)o, 16), 0, &a))
		return false;
	if (scoped) {
		char name[IF_NAMESIZE];
		uint64_t n = 0;
		if (!addr_is_v6(&a) || !slice_cstr(rest, name, sizeof name))
			return false;
		if (!slice_u64(rest, UINT32_MAX, &n) && !(n = if_nametoindex(name)))
			return false;
		a.v6.sin6_scope_id = (uint32_t)n;
	}
	*ret = a;
	return true;
}

bool addr_parse(struct slice text, uint16_t port, struct addr *ret)
{
	struct slice host = text, digits = SLICE_NONE;
	bool has_port = false;
	if (text.len && text.p[0] == '[') {
		ptrdiff_t end = slice_find_chr(text, ']');
		if (end < 0)
			return false;
		host = slice_of(text.p + 1, (size_t)end - 1);
		struct slice after = slice_skip(text, (size_t)end + 1);
		if (after.len) {
			if (after.p[0] != ':')
				return false;
			digits = slice_skip(after, 1);
			has_port = true;
		}
		if (slice_find_chr(host, ':') < 0)
			return false;
	} else {
		ptrdiff_t colon = slice_find_chr(text, ':');
		if (colon >= 0 && slice_find_chr(slice_skip(text, (size_t)colon + 1), ':') < 0) {
			host = slice_first(text, (size_t)colon);
			digits = slice_skip(text, (size_t)colon + 1);
			has_port = true;
		}
	}
	uint64_t n = port;
	if (has_port && !slice_u64(digits, UINT16_MAX, &n))
		return false;
	struct addr a;
	if (!parse_host(host, &a))
		return false;
	addr_set_port(&a, (uint16_t)n);
	*ret = a;
	return true;
}

bool addr_is_literal(struct slice text)
{
	struct addr a;
	return addr_parse(text, 0, &a);
}

void addr_host_text(const struct addr *a, char dst[ADDR_TEXT])
{
	const void *ip = addr_is_v6(a) ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr;
	dst[0] = 0;
	inet_ntop(a->sa.sa_family, ip, dst, INET6_ADDRSTRLEN);
	if (addr_is_v6(a) && a->v6.sin6_scope_id) {
		size_t n = strlen(dst);
		snprintf(dst + n, ADDR_TEXT - n, "%%%u", a->v6.sin6_scope_id);
	}
}

void addr_text(const struct addr *a, char dst[ADDR_TEXT])
{
	char host[ADDR_TEXT];
	addr_host_text(a, host);
	host[ADDR_TEXT - 9] = 0; /* the longest literal with scope has 56 octets */
	snprintf(dst, ADDR_TEXT, addr_is_v6(a) ? "[%.55s]:%u" : "%.55s:%u", host, addr_port(a));
}

socklen_t addr_len(const struct addr *a)
{
	return addr_is_v6(a) ? sizeof a->v6 : sizeof a->v4;
}

uint16_t addr_port(const struct addr *a)
{
	return ntohs(addr_is_v6(a) ? a->v6.sin6_port : a->v4.sin_port);
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (addr_is_v6(a))
		a->v6.sin6_port = htons(port);
	else
		a->v4.sin_port = htons(port);
}

bool addr_is_v6(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6;
}

bool addr_host_eq(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (!addr_is_v6(a))
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0 && a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return addr_host_eq(a, b) && addr_port(a) == addr_port(b);
}

bool addr_is_loopback(const struct addr *a)
{
	if (addr_is_v6(a))
		return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
	return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

bool addr_is_any(const struct addr *a)
{
	return addr_is_v6(a) ? IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) : a->v4.sin_addr.s_addr == 0;
}

static bool private_v4(uint32_t ip)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} table[] = {
		{0x00000000, 8},  /* this network */
		{0x0a000000, 8},  /* RFC 1918 */
		{0x64400000, 10}, /* RFC 6598 shared */
		{0x7f000000, 8},  /* loopback */
		{0xa9fe0000, 16}, /* link-local */
		{0xac100000, 12}, /* RFC 1918 */
		{0xc0000000, 24}, /* RFC 6890 protocol assignments */
		{0xc0a80000, 16}, /* RFC 1918 */
		{0xc6120000, 15}, /* benchmarking */
		{0xe0000000, 3},  /* multicast, reserved, broadcast */
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if ((ip ^ table[i].net) >> (32 - table[i].bits) == 0)
			return true;
	return false;
}

bool addr_is_multicast(const struct addr *a)
{
	return addr_is_v6(a) ? IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr) : ntohl(a->v4.sin_addr.s_addr) >= 0xe0000000;
}

bool addr_is_private(const struct addr *a)
{
	if (!addr_is_v6(a))
		return private_v4(ntohl(a->v4.sin_addr.s_addr));
	const uint8_t *o = a->v6.sin6_addr.s6_addr;
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b}, zero[12];
	uint32_t inner;
	if (memcmp(o, nat64, 12) == 0 || memcmp(o, zero, 12) == 0) { /* ::, ::1 and IPv4-compatible too */
		memcpy(&inner, o + 12, 4);
		return private_v4(ntohl(inner));
	}
	if (o[0] == 0x20 && o[1] == 0x02) {
		memcpy(&inner, o + 2, 4);
		return private_v4(ntohl(inner));
	}
	return (o[0] & 0xfe) == 0xfc || (o[0] == 0xfe && (o[1] & 0x80)) || o[0] == 0xff;
}

struct addr_source addr_source(const struct addr *a)
{
	struct addr_source s = {{addr_is_v6(a) ? 6 : 4}};
	if (addr_is_v6(a))
		memcpy(s.octets + 1, &a->v6.sin6_addr, 8);
	else
		memcpy(s.octets + 1, &a->v4.sin_addr, 4);
	return s;
}
