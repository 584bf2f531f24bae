// A file's signature in the broker's messages.
#pragma once

#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"

namespace splicehost {

linker::FileSignature readSignature(schema::FileSignature::Reader signature);
void writeSignature(const linker::FileSignature& signature, schema::FileSignature::Builder builder);

}  // namespace splicehost
