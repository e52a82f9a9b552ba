/* SPDX-License-Identifier: Apache-2.0 */
/* Where SIP bytes came from or go to. Plain values: the engines never see a socket; the role that owns the sockets translates. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

enum sip_transport { SIP_UDP, SIP_TCP, SIP_TLS };

union sip_remote { /* a quarter of a sockaddr_storage: every dialog and every transaction has one */
	sa_family_t ss_family;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct sip_flow {
	enum sip_transport transport;
	uint64_t conn;                 /* identity of an open connection (UDP: of the socket) at its owner, 0 for none yet */
	union sip_remote remote;       /* ss_family AF_UNSPEC when only conn is known */
	uint32_t target;               /* index of the configured home (or partner) that it belongs to; UINT32_MAX unknown */
};

/* In `conn`: a request that a test has made, as if the home had sent it. What is answered goes nowhere. */
#define SIP_FLOW_TEST UINT64_MAX

static inline bool sip_reliable(enum sip_transport t)
{
	return t != SIP_UDP;
}
/* "UDP" "TCP" "TLS" */
const char *sip_transport_name(enum sip_transport t);

enum { SIP_FLOW_TEXT = 46 };
/* The IP address that it came from, as text in dst (an IPv4-mapped one as IPv4), and the port. Empty when it is not known. */
struct slice sip_flow_source(const struct sip_flow *flow, char dst[SIP_FLOW_TEXT], uint16_t *ret_port);
