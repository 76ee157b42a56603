package obsprop.cuda.emulator;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import obsprop.cuda.CudaLoader;

/**
 * The emulated CUDA device, for tests: builds its library with g++ when the sources are newer, points {@link CudaLoader}
 * to it, injects faults and counts what was not released.
 */
public final class Emulator {
    private static final String LIBRARY = "libobsprop-cuda-emulator.so";

    private final SymbolLookup library;

    @SuppressWarnings("restricted") // loads the test double
    private Emulator(Path path) {
        library = SymbolLookup.libraryLookup(path, Arena.global());
    }

    /**
     * Builds and selects the emulator; empty where there is no g++.
     *
     * @param root of the project
     */
    public static Optional<Emulator> install(Path root) {
        Path library = root.resolve("native/target/emulator").resolve(LIBRARY);
        try {
            if (isStale(library, root) && !build(library, root)) {
                return Optional.empty();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        System.setProperty(CudaLoader.DRIVER, library.toString());
        System.setProperty(CudaLoader.CUBLAS, library.toString());
        Emulator emulator = new Emulator(library);
        emulator.reset();
        return Optional.of(emulator);
    }

    private static List<Path> sources(Path root) throws IOException {
        List<Path> sources = new ArrayList<>();
        for (String folder : List.of("native/src/emulator/cpp", "native/src/main/cuda")) {
            try (Stream<Path> files = Files.list(root.resolve(folder))) {
                files.forEach(sources::add);
            }
        }
        return sources;
    }

    private static boolean isStale(Path library, Path root) throws IOException {
        if (!Files.exists(library)) {
            return true;
        }
        for (Path source : sources(root)) {
            if (Files.getLastModifiedTime(source).compareTo(Files.getLastModifiedTime(library)) > 0) {
                return true;
            }
        }
        return false;
    }

    /** False where there is no g++; a compiler error is an error. */
    private static boolean build(Path library, Path root) throws IOException {
        Files.createDirectories(library.getParent());
        Path temporary = Files.createTempFile(library.getParent(), "emulator", ".so");
        List<String> command = new ArrayList<>(List.of("g++", "-std=c++17", "-O2", "-fPIC", "-shared",
                "-fvisibility=hidden", "-Wall", "-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE",
                "-I" + root.resolve("native/src/main/cuda"), "-I" + root.resolve("native/src/emulator/cpp"), "-o", temporary.toString()));
        sources(root).stream().map(Path::toString).filter(name -> name.endsWith(".cpp")).sorted().forEach(command::add);
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes());
            if (process.waitFor() != 0) {
                throw new IllegalStateException("g++ cannot build the CUDA emulator:\n" + output);
            }
            Files.move(temporary, library, StandardCopyOption.ATOMIC_MOVE);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while g++ ran", e);
        } catch (IOException e) {
            System.out.println("no g++, so no CUDA emulator: " + e.getMessage());
            return false;
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /** No faults ahead, the device present, its memory at the default size. */
    public void reset() {
        call("emulator_reset");
    }

    /** From now on the driver finds no device. */
    public void removeDevice() {
        call("emulator_remove_device");
    }

    /** The {@code nth} allocation from now finds no memory. */
    public void failAllocation(long nth) {
        call("emulator_fail_allocation", nth);
    }

    /** The {@code nth} kernel launched from now fails when it runs. */
    public void failLaunch(long nth) {
        call("emulator_fail_launch", nth);
    }

    /** The device has this much memory. */
    public void limitMemory(long bytes) {
        call("emulator_limit_memory", bytes);
    }

    /** Allocations not freed. */
    public long liveAllocations() {
        return count("emulator_live_allocations");
    }

    /** Contexts, streams, modules, events, graphs, page-locked memory and what cuBLAS and cublasLt made, not released. */
    public long liveObjects() {
        return count("emulator_live_objects");
    }

    /** Freed allocations around which something was written. */
    public long damagedAllocations() {
        return count("emulator_damaged_allocations");
    }

    /** How many products cublasLt has added a bias to. */
    public long productsWithBias() {
        return count("emulator_products_with_bias");
    }

    /** How many products of fragments warps have computed together. */
    public long tensorProducts() {
        return count("emulator_tensor_products");
    }

    /** Launches of graphs so far. */
    public long graphLaunches() {
        return count("emulator_graph_launches");
    }

    private void call(String name, Object... arguments) {
        invoke(name, arguments.length == 0
                ? FunctionDescriptor.ofVoid()
                : FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG), arguments);
    }

    private long count(String name) {
        return (long) invoke(name, FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    }

    @SuppressWarnings("restricted") // a test double's own functions
    private Object invoke(String name, FunctionDescriptor type, Object... arguments) {
        MethodHandle function = Linker.nativeLinker().downcallHandle(library.findOrThrow(name), type);
        try {
            return function.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new IllegalStateException(name, e);
        }
    }
}
