/* SPDX-License-Identifier: Apache-2.0 */
/* A name server on 127.0.0.1 for tests: says what was put in, NXDOMAIN for everything else, nothing at all while silent. */
#pragma once
#include "net/dns.h"

void names_start(void);
void names_stop(void);
/* "127.0.0.1@port" for struct dns_opts. */
const char *names_spec(void);
void names_clear(void);
void names_a(const char *name, const char *address); /* A or AAAA */
void names_srv(const char *name, unsigned priority, unsigned weight, unsigned port, const char *target);
void names_silent(bool on);
unsigned names_asked(const char *name);
