package obsprop.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Finds the shared libraries and loads them where the generated bindings look: they search what {@link System#load} has
 * loaded for their class loader.
 */
final class Libraries {
    private static final String DRIVER_NAME = "libcuda.so.1";
    /** The youngest function that the bindings need of each library: one that has it has them all. */
    private static final String DRIVER_SYMBOL = "cuGraphInstantiateWithFlags";

    private static final String CUBLAS_SYMBOL = "cublasGemmEx";
    /** In a library that cuBLAS depends on, and so found with it. */
    private static final String LT_SYMBOL = "cublasLtMatmul";

    private static final int OLDEST_CUBLAS = 11;

    private Libraries() {}

    /** The outcome of a search. */
    sealed interface Outcome {}

    record Loaded(Path path) implements Outcome {}

    record Missing(String reason) implements Outcome {}

    /** Loads the driver; the answer is the reason why it could not be. */
    static Optional<String> loadDriver() {
        Optional<String> explicit = CudaLoader.setting(CudaLoader.DRIVER);
        Outcome outcome = explicit.isPresent()
                ? load(Path.of(explicit.get()), DRIVER_SYMBOL)
                : bySystem(DRIVER_NAME, DRIVER_SYMBOL).map(path -> load(path, DRIVER_SYMBOL)).orElse(
                        new Missing("no NVIDIA driver here: " + DRIVER_NAME + " is not found, or is too old"));
        return outcome instanceof Missing(String reason) ? Optional.of(reason) : Optional.empty();
    }

    /** Loads cuBLAS, and with it cublasLt, of the driver's major version or an older one. */
    static Outcome loadCublas(int newest) {
        Outcome outcome = findCublas(newest);
        boolean incomplete = outcome instanceof Loaded && SymbolLookup.loaderLookup().find(LT_SYMBOL).isEmpty();
        return incomplete ? new Missing(((Loaded) outcome).path + " comes without " + LT_SYMBOL + ": too old") : outcome;
    }

    private static Outcome findCublas(int newest) {
        Optional<String> explicit = CudaLoader.setting(CudaLoader.CUBLAS);
        if (explicit.isPresent()) {
            return load(Path.of(explicit.get()), CUBLAS_SYMBOL);
        }
        for (int major = newest; major >= OLDEST_CUBLAS; major--) {
            String name = "libcublas.so." + major;
            for (Path folder : cublasFolders()) {
                Path library = folder.resolve(name);
                if (Files.exists(library) && loadWithSibling(library, major) instanceof Loaded loaded) {
                    return loaded;
                }
            }
            Optional<Path> installed = bySystem(name, CUBLAS_SYMBOL);
            if (installed.isPresent() && load(installed.get(), CUBLAS_SYMBOL) instanceof Loaded loaded) {
                return loaded;
            }
        }
        return new Missing("cuBLAS (libcublas.so." + newest + ") is not found in a CUDA toolkit, a Python environment or "
                + "LD_LIBRARY_PATH: set -D" + CudaLoader.CUBLAS + "=PATH or OBSPROP_CUDA_CUBLAS");
    }

    /** cuBLAS needs cublasLt, which lies beside it but not always where the system's loader looks. */
    private static Outcome loadWithSibling(Path library, int major) {
        Path sibling = library.resolveSibling("libcublasLt.so." + major);
        if (Files.exists(sibling) && load(sibling, "cublasLtCreate") instanceof Missing missing) {
            return missing;
        }
        return load(library, CUBLAS_SYMBOL);
    }

    @SuppressWarnings("restricted") // loading native code is this class's purpose
    private static Outcome load(Path path, String symbol) {
        try {
            System.load(path.toAbsolutePath().toString());
            return SymbolLookup.loaderLookup().find(symbol).isPresent()
                    ? new Loaded(path)
                    : new Missing(path + " lacks " + symbol + ": too old, or another library");
        } catch (UnsatisfiedLinkError e) {
            return new Missing("cannot load " + path + ": " + e.getMessage());
        } catch (IllegalCallerException e) {
            return new Missing("this JVM allows no native code: start it with --enable-native-access");
        }
    }

    /** The file that the system's loader (LD_LIBRARY_PATH, its cache) finds under {@code name}. */
    @SuppressWarnings("restricted") // opens the library to learn where the system found it
    private static Optional<Path> bySystem(String name, String symbol) {
        try {
            Arena arena = Arena.global(); // closing would unload it between here and its use
            return SymbolLookup.libraryLookup(name, arena).find(symbol).flatMap(at -> mappedFile(at.address()));
        } catch (IllegalArgumentException | IllegalCallerException e) {
            return Optional.empty();
        }
    }

    /** The file mapped at {@code address} of this process. */
    private static Optional<Path> mappedFile(long address) {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.filter(line -> holds(line, address)).map(line -> Path.of(line.substring(line.indexOf('/')))).findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Whether a line such as {@code 7f00-7f80 r-xp 0000 08:01 42 /lib/x.so} is of a file mapped around the address. */
    private static boolean holds(String line, long address) {
        int dash = line.indexOf('-');
        int space = line.indexOf(' ');
        return line.indexOf('/') > 0
                && Long.compareUnsigned(Long.parseUnsignedLong(line, 0, dash, 16), address) <= 0
                && Long.compareUnsigned(address, Long.parseUnsignedLong(line, dash + 1, space, 16)) < 0;
    }

    /** Where a toolkit and where Python packages put cuBLAS; only folders that exist. */
    private static List<Path> cublasFolders() {
        List<Path> folders = new ArrayList<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            Optional.ofNullable(System.getenv(variable)).ifPresent(home -> folders.add(Path.of(home, "lib64")));
        }
        folders.add(Path.of("/usr/local/cuda/lib64"));
        List<Path> pythons = new ArrayList<>();
        Optional.ofNullable(System.getenv("VIRTUAL_ENV")).ifPresent(home -> pythons.add(Path.of(home, "lib")));
        pythons.add(Path.of(System.getProperty("user.home"), ".local/lib"));
        pythons.add(Path.of("/usr/local/lib"));
        for (Path python : pythons) {
            for (Path version : matching(python, "python3*")) {
                for (String packages : List.of("site-packages", "dist-packages")) {
                    matching(version.resolve(packages).resolve("nvidia"), "*").forEach(p -> folders.add(p.resolve("lib")));
                }
            }
        }
        return folders.stream().filter(Files::isDirectory).toList();
    }

    private static List<Path> matching(Path folder, String glob) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, glob)) {
            List<Path> found = new ArrayList<>();
            entries.forEach(found::add);
            found.sort(null);
            return found;
        } catch (IOException e) {
            return List.of();
        }
    }
}
