/* SPDX-License-Identifier: Apache-2.0 */
/* What server and keeper say to each other: one frame per datagram of a SOCK_SEQPACKET pair, a reply to each request, in order. Both sides check
 * every field of what they read; numbers are little-endian. Pure functions.
 *
 *   request  octet verb, octet scheme, octet digest, octet 0, u32 handle, u32 length, length octets
 *   reply    octet status, octet 0, u16 0, u32 value, u32 length, length octets */
#pragma once
#include "base/err.h"

enum {
	KEEPER_HEAD = 12,
	KEEPER_PATH_MAX = 4095,
	/* Ed25519 and Ed448 sign the message itself: of a client of TLS 1.2 that is the whole handshake until then. */
	KEEPER_MESSAGE_MAX = 96 << 10,
	KEEPER_FRAME_MAX = KEEPER_HEAD + KEEPER_MESSAGE_MAX,
	KEEPER_PUBLIC_MAX = 4096,    /* a DER SubjectPublicKeyInfo */
	KEEPER_SIGNATURE_MAX = 2048, /* RSA of 16384 bits */
	KEEPER_REPLY_MAX = KEEPER_HEAD + KEEPER_PUBLIC_MAX,
};

enum keeper_verb {
	KEEPER_LOAD = 1, /* data: an absolute path. Reply: value is the handle, data the public key */
	KEEPER_SIGN,     /* handle, scheme, digest; data: what the digest says, or the message. Reply: data is the signature */
	KEEPER_FORGET,   /* handle. Reply: nothing */
	KEEPER_VERBS
};

enum keeper_scheme {
	KEEPER_SCHEME_NONE,
	KEEPER_PKCS1, /* RSASSA-PKCS1-v1_5 */
	KEEPER_PSS,   /* RSASSA-PSS, MGF1 with the same digest, salt as long as the digest (RFC 8446 4.2.3) */
	KEEPER_ECDSA,
	KEEPER_EDDSA, /* Ed25519, Ed448 */
	KEEPER_SCHEMES
};

enum keeper_digest {
	KEEPER_DIGEST_NONE, /* KEEPER_EDDSA only */
	KEEPER_MD5_SHA1,    /* TLS 1.0 and 1.1, KEEPER_PKCS1 only */
	KEEPER_SHA1,
	KEEPER_SHA224,
	KEEPER_SHA256,
	KEEPER_SHA384,
	KEEPER_SHA512,
	KEEPER_DIGESTS
};
/* OpenSSL's name; NULL: none or out of range. */
const char *keeper_digest_name(enum keeper_digest d);
size_t keeper_digest_size(enum keeper_digest d); /* 0: none or out of range */

struct keeper_request {
	enum keeper_verb verb;
	enum keeper_scheme scheme;
	enum keeper_digest digest;
	uint32_t handle;
	struct slice data; /* in the octets that were read */
};
/* 0, or ENTENTE_ESYNTAX: anything that keeper_request_write would not have written. */
int keeper_request_read(struct keeper_request *ret, struct slice octets);
/* The length, at most KEEPER_FRAME_MAX; 0: that is no request, or it does not fit. */
size_t keeper_request_write(char *dst, size_t size, const struct keeper_request *q);

enum keeper_status {
	KEEPER_OK,
	KEEPER_MALFORMED, /* the request */
	KEEPER_NO_FILE,   /* value: errno of open or read */
	KEEPER_NOT_PLAIN, /* no regular file, or too large */
	KEEPER_NO_KEY,    /* no PEM key without a passphrase in it */
	KEEPER_ODD_KEY,   /* of a kind that cannot be used */
	KEEPER_FULL,      /* KEEPER_KEYS */
	KEEPER_UNKNOWN,   /* no such handle */
	KEEPER_FAILED,    /* the key cannot make that signature */
	KEEPER_ELSEWHERE, /* the path is in none of the folders that the keeper was started for */
	KEEPER_STATUSES
};
struct keeper_reply {
	enum keeper_status status;
	uint32_t value;
	struct slice data; /* in the octets that were read */
};
/* Reads the reply to a request with `verb`. 0 or ENTENTE_ESYNTAX. */
int keeper_reply_read(struct keeper_reply *ret, enum keeper_verb verb, struct slice octets);
/* The length; 0: it does not fit. */
size_t keeper_reply_write(char *dst, size_t size, const struct keeper_reply *r);
