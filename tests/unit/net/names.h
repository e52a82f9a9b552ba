/* SPDX-License-Identifier: Apache-2.0 */
/* A name server on 127.0.0.1 for tests: says what was put in, NXDOMAIN for everything else, nothing at all while silent. */
#pragma once
#include "net/dns.h"

void names_start(void);
void names_stop(void);
/* "127.0.0.1@port" for struct dns_opts. */
const char *names_spec(void);
void names_clear(void);
void names_ttl(unsigned seconds); /* of all records, from now on; 1 at the beginning */
void names_a(const char *name, const char *address); /* A or AAAA */
void names_srv(const char *name, unsigned priority, unsigned weight, unsigned port, const char *target);
/* A record of any type, its data as it stands in the message. */
void names_record(const char *name, enum dns_type type, struct slice data);
void names_alias(const char *name, const char *target); /* CNAME */
/* What is said of this name instead of an answer. */
enum { NAMES_SILENT = -1, NAMES_EMPTY = 0, NAMES_SERVFAIL = 2, NAMES_REFUSED = 5 };
void names_fail(const char *name, int how);
void names_silent(bool on); /* of all names */
unsigned names_asked(const char *name);
