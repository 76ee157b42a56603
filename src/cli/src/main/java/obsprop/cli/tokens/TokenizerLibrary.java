package obsprop.cli.tokens;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import obsprop.cli.UsageException;
import obsprop.tensor.io.Unfinished;

/**
 * Loads the native tokenizer library that DJL's artifact carries, without DJL's own loader: that one probes for CUDA,
 * would download a CUDA build, and reports to its makers unless told not to. Nothing here touches the network.
 *
 * <p>The library is unpacked once into the user's cache folder, and into a temporary one where that is not possible.
 */
final class TokenizerLibrary {
    private static final String RESOURCES = "/native/lib/";

    private TokenizerLibrary() {
    }

    /** The loaded library; loading twice is harmless. */
    static TokenizersLibrary load() {
        String platform = platform();
        try {
            Path folder = cache(System.getenv(), Path.of(System.getProperty("user.home"))).resolve("obsprop")
                    .resolve("tokenizers-" + version() + "-" + platform);
            load(unpackOrBorrow(platform, folder));
        } catch (IOException | UnsatisfiedLinkError e) {
            throw new IllegalStateException("the tokenizer library could not be loaded: " + e.getMessage(), e);
        }
        return TokenizersLibrary.LIB;
    }

    @SuppressWarnings("restricted")
    private static void load(Path folder) {
        for (String file : files()) {
            System.load(folder.resolve(file).toAbsolutePath().toString());
        }
    }

    private static Path unpackOrBorrow(String platform, Path folder) throws IOException {
        try {
            return unpack(platform, folder);
        } catch (IOException e) {
            Path temporary = Files.createTempDirectory("obsprop");
            // Deleted at the end, last what was named first.
            temporary.toFile().deleteOnExit();
            for (String file : files()) {
                temporary.resolve(file).toFile().deleteOnExit();
            }
            return unpack(platform, temporary);
        }
    }

    private static Path unpack(String platform, Path folder) throws IOException {
        Files.createDirectories(folder);
        for (String file : files()) {
            URL resource = TokenizerLibrary.class.getResource(RESOURCES + platform + "/cpu/" + file);
            if (resource == null) {
                throw new UsageException("text needs the tokenizer library, which is not made for " + platform
                        + ": give ids instead, as in --token-ids 1,2,3 or --observable '#5 - #7'");
            }
            Path target = folder.resolve(file);
            URLConnection connection = resource.openConnection();
            if (!Files.exists(target) || Files.size(target) != connection.getContentLengthLong()) {
                copy(connection, target);
            }
        }
        return folder;
    }

    private static void copy(URLConnection from, Path target) throws IOException {
        try (InputStream bytes = from.getInputStream(); Unfinished library = Unfinished.beside(target)) {
            Files.copy(bytes, library.path());
            library.moveTo(target);
        }
    }

    private static Path cache(Map<String, String> environment, Path home) {
        for (String variable : List.of("XDG_CACHE_HOME", "LOCALAPPDATA")) {
            String folder = environment.getOrDefault(variable, "");
            if (!folder.isBlank()) {
                return Path.of(folder);
            }
        }
        return home.resolve(".cache");
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream in = TokenizerLibrary.class.getResourceAsStream(RESOURCES + "tokenizers.properties")) {
            properties.load(in);
        }
        return properties.getProperty("version");
    }

    private static String platform() {
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String machine = System.getProperty("os.arch");
        return (system.startsWith("win") ? "win" : system.startsWith("mac") ? "osx" : "linux")
                + "-" + (machine.equals("amd64") ? "x86_64" : machine);
    }

    /** In the order of their dependence. */
    private static List<String> files() {
        String library = System.mapLibraryName("tokenizers");
        return library.endsWith(".dll")
                ? List.of("libwinpthread-1.dll", "libgcc_s_seh-1.dll", "libstdc++-6.dll", library)
                : List.of(library);
    }
}
