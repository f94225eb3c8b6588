# Sends six bytes through TLS over loopback. With `--try`: only sees that it could.
import os, socket, ssl, subprocess, sys, tempfile, threading

if "--try" in sys.argv:
    subprocess.run(["openssl", "version"], check=True, stdout=subprocess.DEVNULL)
    sys.exit()
with tempfile.TemporaryDirectory() as directory:
    key, certificate = os.path.join(directory, "key"), os.path.join(directory, "certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost"], check=True, stderr=subprocess.DEVNULL)
    at_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_server.load_cert_chain(certificate, key)
    at_client = ssl.create_default_context(cafile=certificate)
listener = socket.create_server(("127.0.0.1", 0))


def serve():
    with at_server.wrap_socket(listener.accept()[0], server_side=True) as connection:
        connection.recv(100)


server = threading.Thread(target=serve)
server.start()
client = at_client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost")
client.sendall(b"a\x00b\x01\xffc")
server.join()
