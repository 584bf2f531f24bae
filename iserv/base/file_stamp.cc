#include "iserv/base/file_stamp.h"

namespace splicehost {

linker::FileStamp readStamp(schema::FileStamp::Reader stamp) {
  return {stamp.getDevice(),   stamp.getInode(),   stamp.getSize(),
          stamp.getModified(), stamp.getChanged(), stamp.getMount()};
}

void writeStamp(const linker::FileStamp& stamp, schema::FileStamp::Builder builder) {
  builder.setDevice(stamp.device);
  builder.setInode(stamp.inode);
  builder.setSize(stamp.size);
  builder.setModified(stamp.mtimeNs);
  builder.setChanged(stamp.ctimeNs);
  builder.setMount(stamp.mount);
}

}  // namespace splicehost
