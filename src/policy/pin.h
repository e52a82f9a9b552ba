/* SPDX-License-Identifier: Apache-2.0 */
/* Pins of public keys (RFC 7469 2.4, without HTTP): SHA-256 over the SubjectPublicKeyInfo of a partner's certificate. They do not
 * take the place of authentication but add to it: a certificate that some authority should not have issued is noticed. Pure, any
 * thread. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

/* ALARM: another key is logged and counted. BLOCK: it is refused, by every method of authentication. */
enum policy_pin_mode { POLICY_PIN_ALARM, POLICY_PIN_BLOCK };

enum { POLICY_PINS_MAX = 8 };

struct policy_pin {
	unsigned char sha256[32];
};

/* 64 hex digits (colons between octets allowed), each optionally after "sha256:"; or 44 characters of base64, optionally after
 * "sha256//" (as curl and HPKP write them). False: *ret is untouched. */
bool policy_pin_parse(struct policy_pin *ret, struct slice text);
/* 64 hex digits. */
void policy_pin_print(struct buf *out, const struct policy_pin *p);
/* Is it one of them? */
bool policy_pin_match(const struct policy_pin *pins, size_t n, const unsigned char sha256[32]);
