package obsprop.launcher;

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Finds an installed JDK by the {@code release} file in its folder, without starting any {@code java}.
 *
 * <p>What the user has pointed at (the running Java, JAVA_HOME, JDK_HOME, the PATH) goes before what merely lies around;
 * among the latter the oldest that suffices wins, being nearest to what was tested.
 */
final class JavaHomes {
    private final Map<String, String> environment;
    private final Path running;
    private final Path userHome;

    JavaHomes(Map<String, String> environment, Path running, Path userHome) {
        this.environment = environment;
        this.running = running;
        this.userHome = userHome;
    }

    /** The home of a JDK of at least {@code minimum} that has {@code module}; empty where none is found. */
    Optional<Path> find(int minimum, String module) {
        Optional<Release> named = named().map(Release::read).flatMap(Optional::stream)
                .filter(release -> release.suits(minimum, module)).findFirst();
        return named.or(() -> usual().map(Release::read).flatMap(Optional::stream)
                        .filter(release -> release.suits(minimum, module))
                        .min(Comparator.comparingInt(Release::feature)))
                .map(Release::home);
    }

    private Stream<Path> named() {
        List<Path> homes = new ArrayList<>();
        homes.add(running);
        for (String variable : List.of("JAVA_HOME", "JDK_HOME")) {
            path(environment.get(variable)).ifPresent(homes::add);
        }
        for (String folder : environment.getOrDefault("PATH", "").split(File.pathSeparator)) {
            path(folder).flatMap(JavaHomes::homeOfBin).ifPresent(homes::add);
        }
        return homes.stream();
    }

    private static Optional<Path> path(String name) {
        if (name == null || name.isBlank()) {
            return Optional.empty();
        }
        try {
            return Optional.of(Path.of(name));
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    /** The JDK whose {@code bin} holds the java in {@code folder}, links followed (as in /usr/bin/java). */
    private static Optional<Path> homeOfBin(Path folder) {
        try {
            return Optional.ofNullable(folder.resolve(javaName()).toRealPath().getParent()).map(Path::getParent);
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private Stream<Path> usual() {
        List<Path> parents = new ArrayList<>(Stream.of("/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/opt", "/opt/java",
                "/usr/local", "/Library/Java/JavaVirtualMachines", "/opt/homebrew/opt", "/usr/local/opt").map(Path::of).toList());
        parents.add(userHome.resolve(".sdkman/candidates/java"));
        parents.add(userHome.resolve(".jdks"));
        parents.add(userHome.resolve(".asdf/installs/java"));
        parents.add(userHome.resolve("Library/Java/JavaVirtualMachines"));
        path(environment.get("ProgramFiles")).ifPresent(programs -> Stream.of("Java", "Eclipse Adoptium", "Microsoft",
                "Zulu", "Amazon Corretto", "BellSoft").map(programs::resolve).forEach(parents::add));
        return parents.stream().flatMap(parent -> children(parent).stream()).flatMap(home -> Stream.of(home,
                home.resolve("Contents/Home"), home.resolve("libexec/openjdk.jdk/Contents/Home")));
    }

    private static List<Path> children(Path parent) {
        List<Path> found = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(parent)) {
            entries.forEach(found::add);
        } catch (IOException e) {
            // A place that this machine does not have, or that may not be read, holds no JDK for us.
            return List.of();
        }
        found.sort(Comparator.naturalOrder());
        return found;
    }

    /** The path of {@code java} inside a JDK. */
    static Path executable(Path home) {
        return home.resolve("bin").resolve(javaName());
    }

    private static String javaName() {
        return File.separatorChar == '\\' ? "java.exe" : "java";
    }

    /** What a JDK's {@code release} file says. */
    private record Release(Path home, int feature, String modules) {
        static Optional<Release> read(Path home) {
            if (!Files.isExecutable(executable(home))) {
                return Optional.empty();
            }
            int feature = 0;
            String modules = "";
            try {
                for (String line : Files.readAllLines(home.resolve("release"))) {
                    if (line.startsWith("JAVA_VERSION=")) {
                        feature = feature(unquoted(line));
                    } else if (line.startsWith("MODULES=")) {
                        modules = unquoted(line);
                    }
                }
            } catch (IOException e) {
                return Optional.empty();
            }
            return Optional.of(new Release(home, feature, modules));
        }

        private static String unquoted(String line) {
            return line.substring(line.indexOf('=') + 1).replace("\"", "").strip();
        }

        /** 25 of {@code 25.0.1} and {@code 26-ea}; 1 of {@code 1.8.0_392}; 0 where it is no number. */
        private static int feature(String version) {
            int end = 0;
            while (end < version.length() && end < 9 && Character.isDigit(version.charAt(end))) {
                end++;
            }
            return end == 0 ? 0 : Integer.parseInt(version.substring(0, end));
        }

        /** Some builds list no modules; they are taken to be complete. */
        boolean suits(int minimum, String module) {
            return feature >= minimum
                    && (modules.isEmpty() || List.of(modules.split(" ")).contains(module));
        }
    }
}
