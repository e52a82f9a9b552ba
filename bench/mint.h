/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for many partners, signed by the lab's authority: DIR/NAME.pem and DIR/NAME.key, P-256, for one domain each. */
#pragma once
#include "base/err.h"

struct mint;
/* Reads CA_DIR/ca.pem and ca.key. */
int mint_open(struct mint **ret, const char *ca_dir, struct entente_err *err);
int mint_make(struct mint *m, const char *dir, const char *domain, struct entente_err *err);
/* Accepts NULL; returns NULL. */
struct mint *mint_close(struct mint *m);
