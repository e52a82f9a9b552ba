/* SPDX-License-Identifier: Apache-2.0 */
/* Text encodings that every layer needs: UTF-8, hex, base64. Pure functions, any thread. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

/* Well-formed UTF-8 as RFC 3629 (no surrogates, no overlong forms). */
bool utf8_valid(struct slice s);
/* Decodes one code point at s.p; returns its length in octets, 0 when malformed or empty. */
size_t utf8_decode(struct slice s, uint32_t *ret_cp);
/* Writes 1..4 octets; returns how many, 0 for a surrogate or > U+10FFFF. */
size_t utf8_encode(uint32_t cp, char dst[4]);
/* The longest prefix of at most n octets that does not cut a character. */
struct slice utf8_first(struct slice s, size_t n);
/* Has a C0 control, DEL, or C1 control (as code point). TAB, CR and LF count too. */
bool utf8_has_control(struct slice s);

/* Value of a hex digit, or -1. */
int hex_value(char c);
void hex_put(struct buf *b, const void *p, size_t n); /* lower case */

void base64_put(struct buf *b, struct slice s);
/* RFC 4648 with padding; whitespace is not tolerated. False when malformed (b may hold a part). */
bool base64_get(struct buf *b, struct slice s);
