package obsprop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.ClassEntry;
import java.lang.constant.ClassDesc;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import obsprop.model.Transformer;
import org.junit.jupiter.api.Test;

/** The arrows between the rooms of the engine point down only. */
class LayeringTest {
    /** Each room, with all the rooms that it may name besides itself. Rooms within rooms count as the outer one. */
    private static final Map<String, Set<String>> MAY_USE = Map.ofEntries(
            Map.entry("obsprop.cuda", Set.of()),
            Map.entry("obsprop.tensor", Set.of()),
            Map.entry("obsprop.tensor.io", Set.of("obsprop.tensor")),
            Map.entry("obsprop.kernel", Set.of("obsprop.tensor")),
            Map.entry("obsprop.kernel.scalar", Set.of("obsprop.kernel", "obsprop.tensor")),
            Map.entry("obsprop.kernel.cpu", Set.of("obsprop.kernel", "obsprop.tensor")),
            Map.entry("obsprop.kernel.cuda", Set.of("obsprop.kernel", "obsprop.tensor", "obsprop.cuda")),
            Map.entry("obsprop.backend", Set.of(
                    "obsprop.kernel", "obsprop.kernel.scalar", "obsprop.kernel.cpu", "obsprop.kernel.cuda",
                    "obsprop.cuda")),
            Map.entry("obsprop.model.layer", Set.of("obsprop.kernel", "obsprop.tensor")),
            Map.entry("obsprop.model", Set.of("obsprop.model.layer", "obsprop.kernel", "obsprop.tensor")),
            Map.entry("obsprop.model.io", Set.of("obsprop.tensor.io", "obsprop.tensor")),
            Map.entry("obsprop.model.family", Set.of(
                    "obsprop.model", "obsprop.model.layer", "obsprop.model.io", "obsprop.kernel", "obsprop.tensor",
                    "obsprop.tensor.io")),
            Map.entry("obsprop.propagation", Set.of(
                    "obsprop.model", "obsprop.model.layer", "obsprop.kernel", "obsprop.tensor", "obsprop.tensor.io")),
            Map.entry("obsprop.analysis", Set.of(
                    "obsprop.propagation", "obsprop.model", "obsprop.model.layer", "obsprop.kernel", "obsprop.tensor",
                    "obsprop.tensor.io")));

    @Test
    void arrowsPointDown() throws IOException, URISyntaxException {
        Path classes = Path.of(Transformer.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        List<ClassModel> models;
        try (Stream<Path> files = Files.walk(classes)) {
            models = files.filter(f -> f.toString().endsWith(".class") && !f.endsWith("module-info.class"))
                    .map(LayeringTest::parse)
                    .toList();
        }
        assertTrue(models.size() > 100, () -> "only " + models.size() + " classes found in " + classes);
        Set<String> wrong = new TreeSet<>();
        for (ClassModel model : models) {
            String from = room(model.thisClass().asInternalName().replace('/', '.'));
            dependencies(model).map(LayeringTest::room)
                    .filter(to -> !to.equals(from) && !MAY_USE.get(from).contains(to))
                    .forEach(to -> wrong.add(model.thisClass().asInternalName() + " uses " + to));
        }
        assertEquals(Set.of(), wrong);
    }

    private static ClassModel parse(Path file) {
        try {
            return ClassFile.of().parse(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Names of the project's classes that a class refers to. */
    private static Stream<String> dependencies(ClassModel model) {
        return StreamSupport.stream(model.constantPool().spliterator(), false)
                .filter(ClassEntry.class::isInstance)
                .map(entry -> elementName(((ClassEntry) entry).asSymbol()))
                .filter(name -> name.startsWith("obsprop."));
    }

    private static String elementName(ClassDesc type) {
        ClassDesc element = type;
        while (element.isArray()) {
            element = element.componentType();
        }
        return element.packageName() + "." + element.displayName();
    }

    /** The room whose name is the longest beginning of the class's. */
    private static String room(String className) {
        return MAY_USE.keySet().stream()
                .filter(room -> className.startsWith(room + "."))
                .max(Comparator.comparingInt(String::length))
                .orElse(className);
    }
}
