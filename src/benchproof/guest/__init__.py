"""What a QEMU guest needs: kernel images, an initramfs, the wire to the guest, the machine itself."""
