/* SPDX-License-Identifier: Apache-2.0 */
/* What can be found out about this machine before anything runs. Looks, changes nothing. Functions may wait for the resolver of
 * /etc/resolv.conf (each name some seconds at most); for a program of its own, not for the daemon. Any thread. */
#pragma once
#include "base/buf.h"

enum { SETUP_ADDRESSES_MAX = 32, SETUP_ADDRESS_TEXT = 46, SETUP_NAME_TEXT = 256 };

/* Where an address is reachable from: by the ranges of RFC 1918, 4193, 6598, 3927 and the like. */
enum setup_reach { SETUP_LOOPBACK, SETUP_LINK, SETUP_PRIVATE, SETUP_GLOBAL };
/* SETUP_LOOPBACK for what is no IP address. */
enum setup_reach setup_reach(struct slice address);

bool setup_is_address(struct slice text); /* of IPv4 in four numbers, or of IPv6, without brackets */

struct setup_address {
	char text[SETUP_ADDRESS_TEXT];
	bool ipv6;
	enum setup_reach reach;
};

enum setup_dnssec {
	SETUP_DNSSEC_UNKNOWN,   /* the resolver did not answer */
	SETUP_DNSSEC_NONE,      /* it hides signatures: validation would fail for every name */
	SETUP_DNSSEC_PASSES,    /* it passes signatures on: we can validate */
	SETUP_DNSSEC_VALIDATES, /* it validates itself, too */
};
enum setup_clock { SETUP_CLOCK_UNKNOWN, SETUP_CLOCK_SYNCED, SETUP_CLOCK_FREE /* nobody keeps it right */, SETUP_CLOCK_WRONG /* before this program was made */ };

struct setup_machine {
	char name[SETUP_NAME_TEXT];  /* fully qualified, lower case; "" when it has none */
	struct setup_address addresses[SETUP_ADDRESSES_MAX]; /* of interfaces that are up, without loopback and link-local */
	size_t n_addresses;
	bool ipv6;                   /* the kernel has it */
	bool systemd;                /* runs as the first process */
	enum setup_dnssec dnssec;
	enum setup_clock clock;
};
void setup_machine_look(struct setup_machine *ret);

/* The addresses of a name as the resolver of this machine has them; how many (0: none, or nobody answered). */
size_t setup_resolve(struct setup_address *ret, size_t max, const char *name);
/* Whether an address is one of the machine's. */
bool setup_machine_has(const struct setup_machine *m, struct slice address);
/* The address of ours from which packets to `host` (a name or an address) would leave; false: there is no way there. */
bool setup_source_address(char ret[SETUP_ADDRESS_TEXT], const char *host);

/* What the answer to a question for signed records, asked with DO (RFC 4035), tells of the resolver. */
enum setup_dnssec setup_dnssec_of(const unsigned char *answer, size_t len);

struct setup_port {
	const char *address; /* to listen on */
	uint16_t port;
	bool udp;
	bool taken;          /* ret */
	char holder[64];     /* ret: "kamailio (process 4711)"; "" when it cannot be seen */
};
/* Tries to listen. A port that cannot be had for another reason than that it is taken (an address that is not ours) is not `taken`. */
void setup_port_look(struct setup_port *p);
