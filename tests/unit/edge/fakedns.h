/* SPDX-License-Identifier: Apache-2.0 */
/* In place of net/dns.h (the program is linked with --wrap=dns_ask and --wrap=dns_cancel): answers as the test wants them, DNSSEC
 * status, aliases and delays included. A name that was not put in does not exist. */
#pragma once
#include "net/dns.h"

struct fakedns {
	char name[128];
	enum dns_type type;
	enum dns_status status;
	bool secure;
	unsigned cnames, delay_ms, asked;
	const char *canonical; /* NULL: the name */
	size_t n;
	struct dns_record records[40];
	char text[40][128];    /* targets and TLSA data */
};

/* Forgets all; `secure`: what holds for rows made later and for names that do not exist. */
void fakedns_reset(bool secure);
/* The row of a name, made when needed. */
struct fakedns *fakedns(const char *name, enum dns_type type);
struct fakedns *fakedns_srv(const char *name, unsigned priority, unsigned weight, unsigned port, const char *target);
struct fakedns *fakedns_addr(const char *name, const char *address); /* A or AAAA */
struct fakedns *fakedns_tlsa(const char *name, unsigned usage, unsigned selector, unsigned matching, const void *data, size_t n);
struct fakedns *fakedns_fail(const char *name, enum dns_type type, enum dns_status status);
unsigned fakedns_asked(const char *name, enum dns_type type);
