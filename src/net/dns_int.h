/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/net (and to its tests and fuzz targets). */
#pragma once
#include "base/arena.h"
#include "net/dns.h"

/* One record's data; text goes into the arena. False: malformed, leave it out. */
bool dns_parse(enum dns_type type, struct slice data, struct arena *a, struct dns_record *ret);
/* Lower case with a final dot. False: not a name that may be asked for. */
bool dns_name_clean(struct slice name, char dst[DNS_NAME_MAX + 2]);
/* How many records of this type are in the answer section of a packet that libunbound has checked; any octets do no harm. */
unsigned dns_count_type(struct slice packet, unsigned type);
