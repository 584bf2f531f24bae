// A file's stamp in the broker's messages.
#pragma once

#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"

namespace splicehost {

linker::FileStamp readStamp(schema::FileStamp::Reader stamp);
void writeStamp(const linker::FileStamp& stamp, schema::FileStamp::Builder builder);

}  // namespace splicehost
