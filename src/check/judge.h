/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: one judge for each area. */
#pragma once
#include "check/facts.h"

void check_judge_config(struct check *c, const struct check_facts *f);
void check_judge_dns(struct check *c, const struct check_facts *f);
void check_judge_certs(struct check *c, const struct check_facts *f);
void check_judge_ports(struct check *c, const struct check_facts *f);
void check_judge_partners(struct check *c, const struct check_facts *f);
void check_judge_pool(struct check *c, const struct check_facts *f);
void check_judge_time(struct check *c, const struct check_facts *f);
void check_judge_disk(struct check *c, const struct check_facts *f);
void check_judge_system(struct check *c, const struct check_facts *f);

/* "2026-11-21 14:05 UTC" */
void check_date(char ret[32], int64_t t);
/* A name within a domain, or the domain itself. */
bool check_within(struct slice name, struct slice domain);
/* Has this machine, or what the administrator named, the address? */
bool check_here(const struct check_facts *f, const struct addr *a);
