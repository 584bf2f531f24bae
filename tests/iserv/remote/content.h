// Content for tests.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <string>

#include "linker/content_identity.h"

namespace splicehost::testing {

inline linker::ContentDigest digestOf(const std::string& text) {
  linker::ContentDigest digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.bytes.data());
  return digest;
}

}  // namespace splicehost::testing
