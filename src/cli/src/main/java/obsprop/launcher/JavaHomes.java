package obsprop.launcher;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Finds an installed JDK by the {@code release} file in its folder, without starting any {@code java}.
 *
 * <p>What the user has pointed at (the running Java, JAVA_HOME, JDK_HOME, the PATH) goes before what merely lies around;
 * among the latter the oldest that suffices wins, being nearest to what was tested. Plain loops and java.io, here and in
 * the other classes of the launcher: the first lambda of a JVM costs tens of milliseconds, and an older Java has no file
 * channels in its archive of class data.
 */
final class JavaHomes {
    private static final List<String> FOLDERS = List.of("/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/opt", "/opt/java",
            "/usr/local", "/Library/Java/JavaVirtualMachines", "/opt/homebrew/opt", "/usr/local/opt");
    private static final List<String> HOME_FOLDERS = List.of(".sdkman/candidates/java", ".jdks", ".asdf/installs/java",
            "Library/Java/JavaVirtualMachines");
    private static final List<String> VENDORS = List.of("Java", "Eclipse Adoptium", "Microsoft", "Zulu", "Amazon Corretto",
            "BellSoft");

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
        for (Path home : named()) {
            if (Release.read(home).suits(minimum, module)) {
                return Optional.of(home);
            }
        }
        Optional<Path> oldest = Optional.empty();
        int feature = Integer.MAX_VALUE;
        for (Path home : usual()) {
            Release release = Release.read(home);
            if (release.suits(minimum, module) && release.feature < feature) {
                oldest = Optional.of(home);
                feature = release.feature;
            }
        }
        return oldest;
    }

    private List<Path> named() {
        List<Path> homes = new ArrayList<>();
        homes.add(running);
        add(path(environment.get("JAVA_HOME")), homes);
        add(path(environment.get("JDK_HOME")), homes);
        for (String folder : environment.getOrDefault("PATH", "").split(File.pathSeparator)) {
            Optional<Path> bin = path(folder);
            add(bin.isEmpty() ? bin : homeOfBin(bin.get()), homes);
        }
        return homes;
    }

    private static void add(Optional<Path> home, List<Path> homes) {
        if (home.isPresent()) {
            homes.add(home.get());
        }
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
            Path bin = folder.resolve(javaName()).toRealPath().getParent();
            return bin == null ? Optional.empty() : Optional.ofNullable(bin.getParent());
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private List<Path> usual() {
        List<Path> homes = new ArrayList<>();
        for (Path parent : parents()) {
            for (Path home : children(parent)) {
                homes.add(home);
                homes.add(home.resolve("Contents/Home"));
                homes.add(home.resolve("libexec/openjdk.jdk/Contents/Home"));
            }
        }
        return homes;
    }

    private List<Path> parents() {
        List<Path> parents = new ArrayList<>();
        for (String folder : FOLDERS) {
            parents.add(Path.of(folder));
        }
        for (String folder : HOME_FOLDERS) {
            parents.add(userHome.resolve(folder));
        }
        Optional<Path> programs = path(environment.get("ProgramFiles"));
        if (programs.isPresent()) {
            for (String vendor : VENDORS) {
                parents.add(programs.get().resolve(vendor));
            }
        }
        return parents;
    }

    private static List<Path> children(Path parent) {
        String[] names = parent.toFile().list();
        if (names == null) {
            // A place that this machine does not have, or that may not be read, holds no JDK for us.
            return List.of();
        }
        Arrays.sort(names);
        List<Path> found = new ArrayList<>();
        for (String name : names) {
            found.add(parent.resolve(name));
        }
        return found;
    }

    /** The path of {@code java} inside a JDK. */
    static Path executable(Path home) {
        return home.resolve("bin").resolve(javaName());
    }

    private static String javaName() {
        return File.separatorChar == '\\' ? "java.exe" : "java";
    }

    /**
     * What a JDK's {@code release} file says.
     *
     * @param feature 0 where there is no JDK, or nothing is known of it
     */
    private record Release(int feature, String modules) {
        static Release read(Path home) {
            int feature = 0;
            String modules = "";
            if (executable(home).toFile().canExecute()) {
                try (InputStream in = new FileInputStream(home.resolve("release").toFile())) {
                    for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
                        if (line.startsWith("JAVA_VERSION=")) {
                            feature = feature(unquoted(line));
                        } else if (line.startsWith("MODULES=")) {
                            modules = unquoted(line);
                        }
                    }
                } catch (IOException e) {
                    return new Release(0, "");
                }
            }
            return new Release(feature, modules);
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
            return feature >= minimum && (modules.isEmpty() || List.of(modules.split(" ")).contains(module));
        }
    }
}
