#include "iserv/base/file_signature.h"

namespace splicehost {

linker::FileSignature readSignature(schema::FileSignature::Reader signature) {
  return {signature.getDevice(),   signature.getInode(),   signature.getSize(),
          signature.getModified(), signature.getChanged(), signature.getMount()};
}

void writeSignature(const linker::FileSignature& signature, schema::FileSignature::Builder builder) {
  builder.setDevice(signature.device);
  builder.setInode(signature.inode);
  builder.setSize(signature.size);
  builder.setModified(signature.mtimeNs);
  builder.setChanged(signature.ctimeNs);
  builder.setMount(signature.mount);
}

}  // namespace splicehost
