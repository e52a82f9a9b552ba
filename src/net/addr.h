/* SPDX-License-Identifier: Apache-2.0 */
/* An IPv4 or IPv6 address with a port. IPv4-mapped IPv6 addresses are always turned into IPv4. Pure functions, any thread. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include "base/slice.h"

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

enum { ADDR_TEXT = 64 }; /* enough for "[v6%scope]:port" and a NUL */

/* "192.0.2.1", "192.0.2.1:5061", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5061", "fe80::1%2" (numeric scope or name of an
 * interface); `port` is used where the text has none. No names, no spaces. False when malformed; *ret is then untouched. */
bool addr_parse(struct slice text, uint16_t port, struct addr *ret);
/* From 4 or 16 network-order octets (a DNS record). False on any other length. */
bool addr_from_octets(struct slice octets, uint16_t port, struct addr *ret);
/* From what the kernel gave. False when the family is neither AF_INET nor AF_INET6. */
bool addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret);
/* "192.0.2.1:5061" or "[2001:db8::1]:5061". */
void addr_text(const struct addr *a, char dst[ADDR_TEXT]);
/* Without port and brackets. */
void addr_host_text(const struct addr *a, char dst[ADDR_TEXT]);

socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
bool addr_is_v6(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_host_eq(const struct addr *a, const struct addr *b);
/* 127/8, ::1 */
bool addr_is_loopback(const struct addr *a);
/* 0.0.0.0, :: */
bool addr_is_any(const struct addr *a);
bool addr_is_multicast(const struct addr *a); /* or IPv4 beyond it: reserved, broadcast */
/* Not reachable from the Internet: loopback, RFC 1918, RFC 6598, link-local, unique local, unspecified, multicast, and the
 * IPv4 address inside 6to4 and NAT64 (a stranger's SRV must not make us dial into our own network). */
bool addr_is_private(const struct addr *a);

struct addr_source { /* what counts as one source for limits: the IPv4 address, or the /64 of IPv6 */
	uint8_t octets[9];
};
struct addr_source addr_source(const struct addr *a);

/* True when the text is an IP literal, so not a name to send as SNI or to look up. */
bool addr_is_literal(struct slice text);
