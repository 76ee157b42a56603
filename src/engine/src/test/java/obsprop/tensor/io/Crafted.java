package obsprop.tensor.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Safetensors bytes made by hand, right or wrong. */
public final class Crafted {
    private Crafted() {}

    /** Length, header and {@code dataBytes} bytes 0, 1, 2, ... */
    public static byte[] bytes(byte[] header, int dataBytes) {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header);
        for (int i = 0; i < dataBytes; i++) {
            bytes.put((byte) i);
        }
        return bytes.array();
    }

    public static byte[] bytes(String header, int dataBytes) {
        return bytes(header.getBytes(StandardCharsets.UTF_8), dataBytes);
    }

    public static Path file(Path dir, byte[] content) {
        try {
            return Files.write(dir.resolve("crafted.safetensors"), content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
