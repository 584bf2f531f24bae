"""Another file is another file, also where its device, inode, size and times are the same: in images."""

import os
import shutil
import subprocess
import unittest

from images import LoopDevice, make_image, run, set_times
from support import WAYS, expand, for_each
from test_remote import RemoteTest
from test_sharing import NEW, OLD, Package, SharingTest


class Images:
    """For a test class: two images in turn on one loop device, whose files differ in content only."""

    def make_images(self, package, other):
        """Of a package, and of it with another one's code."""
        if os.geteuid() != 0:
            self.skipTest("only root can mount an image")
        root = self.workspace.root
        self.directory = root / "mounted"
        self.directory.mkdir()
        self.images = {package.value: root / "one.img", other.value: root / "two.img"}
        code = package.code.relative_to(package.directory)
        make_image(self.images[package.value], package.directory)
        shutil.copyfile(self.images[package.value], self.images[other.value])
        self.device = LoopDevice()
        self.addCleanup(self.device.remove)
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.directory], check=False, stderr=subprocess.DEVNULL)
        self.mount(other.value, "rw")
        with open(self.directory / code, "r+b") as file:
            file.write(other.code.read_bytes())
        self.unmount()
        for image in self.images.values():
            set_times(image, code)
        self.code = self.directory / code

    def mount(self, value, options):
        self.device.attach(self.images[value], seconds=20)
        run("mount", "-o", options, self.device.path, self.directory)

    def unmount(self):
        run("umount", self.directory)
        self.device.detach()

    def signature(self):
        signature = self.code.stat()
        return signature.st_dev, signature.st_ino, signature.st_size, signature.st_mtime_ns, signature.st_ctime_ns


@expand
class Swapped(SharingTest, Images):
    @for_each(options=("ro", "rw"))
    @for_each(way=[way for way in WAYS if way.name != "dynamic"])
    def test_image(self, options, way):
        """One image is mounted after the other. (Code of the dynamic way cannot be, while a zygote has it mapped.)"""
        self.make_images(*(self.make_package(way, value, str(value), whole=True) for value in (OLD, NEW)))
        self.copy_source("Uses.hs")
        signatures = set()
        for value in (OLD, NEW, OLD):
            self.mount(value, options)
            signatures.add(self.signature())
            mounted = Package(self.workspace, way, self.directory, value, whole=True)
            for _ in range(2):
                self.assert_says(value, mounted, way, f"the image of {value}, {options}")
                status = self.wait_until_grown()
            self.unmount()
        self.assertEqual(len(signatures), 1, "the images differ, and the test shows nothing")
        self.assertGreaterEqual(status.hits, 3, "content that is known is shared")

    @for_each(way=[way for way in WAYS if way.name == "dynamic"])
    def test_mounted_over(self, way):
        """Another image is mounted over one whose code is mapped by a zygote."""
        self.make_images(*(self.make_package(way, value, str(value), whole=True) for value in (OLD, NEW)))
        self.copy_source("Uses.hs")
        first = self.device
        self.mount(OLD, "ro")
        for value in (OLD, NEW):
            if value == NEW:
                self.device = LoopDevice()
                self.addCleanup(self.device.remove)
                self.addCleanup(subprocess.run, ["umount", "--lazy", self.directory], check=True)
                self.mount(NEW, "ro")
            mounted = Package(self.workspace, way, self.directory, value, whole=True)
            for _ in range(2):
                self.assert_says(value, mounted, way)
                status = self.wait_until_grown()
        self.assertNotEqual(first, self.device)
        self.assertGreater(status.hits, 0)


@expand
class SwappedRemotely(RemoteTest, Images):
    make_package = SharingTest.make_package
    _made_package = SharingTest._made_package
    copy_source = SharingTest.copy_source

    @for_each(options=("ro", "rw"))
    @for_each(way=[way for way in WAYS if way.name == "vanilla"])
    def test_image(self, options, way):
        """The file that remembers digests does so for what was mounted, not for what is."""
        self.make_images(*(self.make_package(way, value, str(value), whole=True) for value in (OLD, NEW)))
        self.copy_source("Uses.hs")
        via = self.machine().listen_here()
        for value in (OLD, NEW, OLD):
            self.mount(value, options)
            mounted = Package(self.workspace, way, self.directory, value, whole=True)
            for _ in range(2):
                done = self.compile_well(via, *mounted.flags, "Uses.hs", way=way)
                self.assertEqual(done.stdout, f"({value},{value},{value})\n", options)
            self.unmount()


if __name__ == "__main__":
    unittest.main()
