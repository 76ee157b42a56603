package obsprop.launcher;

import java.io.IOException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The arguments of the command line, on their way to the child without loss.
 *
 * <p>Where the locale is plain ASCII (a container, cron), Java reads every other letter as a question mark, and on Windows
 * a double quote inside an argument does not survive the start of a process. So arguments with such characters travel in
 * a system property, in the encoding of web forms.
 */
public record Arguments(List<String> list) {
    /** The system property that holds encoded arguments. */
    public static final String PROPERTY = "obsprop.arguments";
    private static final String SEPARATOR = "&";

    /** The arguments that this process was started with: those in the property, if it is set, else {@code given}. */
    public static List<String> received(String[] given) {
        String encoded = System.getProperty(PROPERTY);
        return encoded == null ? List.of(given) : Stream.of(encoded.split(SEPARATOR, -1))
                .map(argument -> URLDecoder.decode(argument, StandardCharsets.UTF_8)).toList();
    }

    /** Whether Java knows no letters but ASCII here. */
    static boolean asciiOnly() {
        return System.getProperty("sun.jnu.encoding", "").equals("ANSI_X3.4-1968");
    }

    /** These arguments with the letters back that Java has lost, where the system still tells them. */
    Arguments asWritten() {
        Path raw = Path.of("/proc/self/cmdline");
        if (!asciiOnly() || !Files.isReadable(raw)) {
            return this;
        }
        try {
            String[] all = new String(Files.readAllBytes(raw), StandardCharsets.UTF_8).split("\0", -1);
            // Each ends in a zero, so the last piece is empty; ours stand at the end.
            int first = all.length - 1 - list.size();
            List<String> ours = first < 0 ? list : List.of(all).subList(first, all.length - 1);
            return new Arguments(new ArrayList<>(ours));
        } catch (IOException e) {
            return this;
        }
    }

    /** Whether every character survives the usual way. */
    boolean plain() {
        for (String argument : list) {
            for (int i = 0; i < argument.length(); i++) {
                char c = argument.charAt(i);
                if (c < ' ' || c >= 127 || c == '"') {
                    return false;
                }
            }
        }
        return true;
    }

    /** All of them in one string. */
    String encoded() {
        List<String> encoded = new ArrayList<>();
        for (String argument : list) {
            encoded.add(URLEncoder.encode(argument, StandardCharsets.UTF_8));
        }
        return String.join(SEPARATOR, encoded);
    }
}
