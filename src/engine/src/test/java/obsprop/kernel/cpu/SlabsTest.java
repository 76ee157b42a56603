package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.model.ActivationCache;
import obsprop.model.Backward;
import obsprop.model.Batch;
import obsprop.model.Injection;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.DemoModel;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;

class SlabsTest {
    /** Sizes around all that is decided by size: small tensors, large ones, whole slabs and more. */
    private static final int[] FLOATS = {
        1, 16_383, 16_384, 16_400, 100_001, 1 << 18, (1 << 18) + 1, 3 << 20, 5 << 20, (8 << 20) - 16, 8 << 20, (8 << 20) + 1, 20_000
    };

    @Test
    void tensorsAreZeroAlignedAndApart() {
        try (Slabs slabs = new Slabs()) {
            List<Tensor> tensors = new ArrayList<>();
            for (int floats : FLOATS) {
                Tensor x = Tensor.allocate(slabs, DType.F32, floats);
                assertEquals(0, x.segment().address() % 64, "alignment of " + floats);
                assertEquals(4L * floats, x.segment().byteSize());
                assertEquals(-1, x.segment().mismatch(MemorySegment.ofArray(new float[floats])), "zeros of " + floats);
                fill(x, tensors.size() + 1);
                tensors.add(x);
            }
            for (int i = 0; i < tensors.size(); i++) {
                assertTrue(holdsOnly(tensors.get(i), i + 1), "tensor " + i + " was written by another");
            }
        }
    }

    @Test
    void threadsGetMemoryOfTheirOwn() {
        try (Slabs slabs = new Slabs()) {
            List<Tensor> tensors = IntStream.range(0, 64).parallel().mapToObj(i -> {
                Tensor x = Tensor.allocate(slabs, DType.F32, 16_384 + 1000 * new Random(i).nextInt(300));
                fill(x, i);
                return x;
            }).toList();
            for (int i = 0; i < tensors.size(); i++) {
                assertTrue(holdsOnly(tensors.get(i), i), "tensor " + i);
            }
        }
    }

    /** Sixteen prompts at once take more than an arena of the JVM's own is for; one of them takes less. */
    @Test
    void aPassInSlabsIsThePass() {
        assumeTrue(HugePages.exist(), "no huge pages on this system");
        int tokens = 128;
        int[][] prompts = IntStream.range(0, 16).mapToObj(i -> new Random(i).ints(tokens, 0, 700).toArray()).toArray(int[][]::new);
        try (DemoModel demo = DemoModel.unpack();
                CpuKernels kernels = CpuKernels.create(2);
                Transformer model = ModelLoader.open(demo.directory(), kernels)) {
            int layers = model.config().nLayers();
            Batch all = Batch.of(prompts);
            Batch one = Batch.of(prompts[7]);
            try (ActivationCache many = model.allocate(all.segments(), Keep.EVERYTHING, layers);
                    ActivationCache few = model.allocate(one.segments(), Keep.EVERYTHING, layers)) {
                model.forward(all, many);
                model.forward(one, few);
                assertArrayEquals(few.residual(layers).toFloats(), many.residual(layers).slice(0, 7 * tokens, 8 * tokens).toFloats());
            }
        }
    }

    /** 96 cotangents of 128 rows at once take more than that, too; one of them takes less. */
    @Test
    void aSweepInSlabsIsTheSweep() {
        assumeTrue(HugePages.exist(), "no huge pages on this system");
        int tokens = 128;
        int cotangents = 96;
        int watched = 61;
        try (DemoModel demo = DemoModel.unpack();
                CpuKernels kernels = CpuKernels.create(2);
                Transformer model = ModelLoader.open(demo.directory(), kernels);
                ActivationCache cache = model.forward(Batch.of(new Random(1).ints(tokens, 0, 700).toArray()));
                Arena arena = Arena.ofShared();
                Backward many = new Backward(cache, cotangents);
                Backward few = new Backward(cache, 1)) {
            int layers = model.config().nLayers();
            Random random = new Random(2);
            Tensor[] y = new Tensor[cotangents];
            for (int i = 0; i < cotangents; i++) {
                y[i] = Tensors.random(arena, DType.F32, random, 0.5, 1, model.config().dModel());
            }
            List<Injection> all = IntStream.range(0, cotangents)
                    .mapToObj(i -> new Injection(i, layers, Point.INPUT, tokens - 1, y[i])).toList();
            var one = new Injection(0, layers, Point.INPUT, tokens - 1, y[watched]);
            float[][] got = new float[2][];
            many.sweep(cotangents, all, Rules.EXACT, 0, (layer, point, first, d) ->
                    got[0] = d.slice(0, watched * tokens, (watched + 1) * tokens).toFloats());
            few.sweep(1, List.of(one), Rules.EXACT, 0, (layer, point, first, d) -> got[1] = d.toFloats());
            assertArrayEquals(got[1], got[0]);
        }
    }

    @Test
    void closingFreesAll() {
        Slabs slabs = new Slabs();
        Tensor large = Tensor.allocate(slabs, DType.F32, 1 << 20);
        Tensor small = Tensor.allocate(slabs, DType.F32, 8);
        slabs.close();
        assertThrows(IllegalStateException.class, () -> large.segment().get(ValueLayout.JAVA_FLOAT, 0));
        assertThrows(IllegalStateException.class, () -> small.segment().get(ValueLayout.JAVA_FLOAT, 0));
        assertThrows(IllegalStateException.class, () -> Tensor.allocate(slabs, DType.F32, 1 << 20));
    }

    @Test
    void onlyArenasForMuchAreSlabs() {
        assumeTrue(HugePages.exist(), "no huge pages on this system");
        try (CpuKernels kernels = CpuKernels.create(1);
                Arena much = kernels.newArena(1L << 30);
                Arena little = kernels.newArena(1L << 20)) {
            assertInstanceOf(Slabs.class, much);
            assertEquals(Arena.ofShared().getClass(), little.getClass());
        }
    }

    /** What the JVM would refuse to take off the heap is left to it, and its refusal is the caller's. */
    @Test
    void noMoreThanTheJvmMayTake() {
        assumeTrue(HugePages.exist(), "no huge pages on this system");
        try (Arena arena = Arena.ofShared()) {
            assertTrue(HugePages.allocate(arena, Runtime.getRuntime().maxMemory()).isEmpty(), "beyond the limit");
            assertTrue(HugePages.allocate(arena, HugePages.SIZE).isPresent(), "within it, after a refusal");
        }
    }

    /** Where the kernel reports it, the range is marked ("hg") for huge pages, until the arena is closed. */
    @Test
    void slabsAreAdvisedAndGivenBack() throws IOException {
        Path ranges = Path.of("/proc/self/smaps");
        assumeTrue(HugePages.exist() && Files.isReadable(ranges) && Files.exists(Path.of("/sys/kernel/mm/transparent_hugepage")),
                "no transparent huge pages on this system");
        long address;
        try (Slabs slabs = new Slabs()) {
            Tensor x = Tensor.allocate(slabs, DType.F32, 1 << 20);
            fill(x, 1);
            address = x.segment().address();
            assertTrue(flags(Files.readAllLines(ranges), address).contains("hg"), "not advised");
        }
        assertFalse(flags(Files.readAllLines(ranges), address).contains("hg"), "not given back");
    }

    private static List<String> flags(List<String> ranges, long address) {
        boolean within = false;
        for (String line : ranges) {
            String[] words = line.split("[ -]+");
            if (words.length > 2 && words[0].matches("[0-9a-f]+") && words[1].matches("[0-9a-f]+")) {
                within = Long.parseUnsignedLong(words[0], 16) <= address && address < Long.parseUnsignedLong(words[1], 16);
            } else if (within && line.startsWith("VmFlags:")) {
                return Arrays.asList(words);
            }
        }
        return List.of();
    }

    private static void fill(Tensor x, float value) {
        for (long i = 0; i < x.elements(); i++) {
            x.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        }
    }

    private static boolean holdsOnly(Tensor x, float value) {
        for (long i = 0; i < x.elements(); i++) {
            if (x.segment().getAtIndex(ValueLayout.JAVA_FLOAT, i) != value) {
                return false;
            }
        }
        return true;
    }
}
